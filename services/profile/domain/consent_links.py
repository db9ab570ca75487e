"""Links that let whoever has them act on the consents of one profile, without a login.

A link is the bytes of what it permits with an HMAC-SHA-256 over them, in one word for a URL. Who
changes a bit of it has nothing; nothing is stored. The first key signs, all of them verify, so that
keys can be exchanged while old links live.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from shared.contracts.consents import EVERY

MIN_KEY = 32
"""Fewer characters are no key."""
MAX_TOKEN = 600
_CONTEXT = b"concert/consent-link/1\0"
_MAC_BYTES = 32

Kind = Literal["preferences", "confirmation"]


class BrokenLinkError(ValueError):
    """Nobody with a key of ours made this link."""


class ExpiredLinkError(ValueError):
    """The link was good until a moment ago, or longer."""


class ConsentLink(msgspec.Struct, array_like=True, frozen=True):
    """What a link permits. `expires_at` in milliseconds since 1970.

    A link to the preferences: to see and change all of them; unsubscribing with one click refuses
    `purpose` on `channel`. A confirmation: to confirm the grant whose entry in the history is
    `proof`, once.
    """

    kind: Kind
    profile: bytes
    expires_at: int
    purpose: str = EVERY
    channel: str = EVERY
    proof: bytes = b""

    @property
    def profile_id(self) -> str:
        """The profile, as it was called when the link was made."""
        return str(UUID(bytes=self.profile))

    @property
    def proof_id(self) -> str | None:
        """The entry that a confirmation is of."""
        return str(UUID(bytes=self.proof)) if self.proof else None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ConsentLink)


def signed(link: ConsentLink, keys: Sequence[bytes]) -> str:
    """The link as one word for a URL, signed with the first key."""
    body = _encoder.encode(link)
    return base64.urlsafe_b64encode(_mac(body, keys[0]) + body).decode().rstrip("=")


def read_link(token: str, keys: Sequence[bytes], *, kind: Kind, now: int) -> ConsentLink:
    """What a word permits at an instant (milliseconds since 1970).

    Raises BrokenLinkError when no key made it or it is for something else, and ExpiredLinkError.
    """
    if not token.isascii() or len(token) > MAX_TOKEN:
        raise BrokenLinkError("no link of ours looks like this")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BrokenLinkError("it is not written as links are") from None
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    good = [hmac.compare_digest(mac, _mac(body, key)) for key in keys]
    if not any(good) or base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        raise BrokenLinkError("nobody signed this")
    link = _decoder.decode(body)
    if link.kind != kind:
        raise BrokenLinkError("it is for something else")
    if link.expires_at <= now:
        raise ExpiredLinkError("it is too old")
    return link


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, _CONTEXT + body, hashlib.sha256).digest()
