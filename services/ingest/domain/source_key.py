"""A source's key: what a channel system shows the collector. Only its SHA-256 is kept.

A key has 256 random bits, so a fast hash is enough; nobody can try that many.
"""

import hashlib
from datetime import datetime
from typing import Literal

MARK = "csk_"
SHOWN = 8
"""How many characters after the mark people see, to tell keys apart."""
MAX_ACTIVE = 2
"""Active keys of a source at a time: the one in use, and the one that takes over from it."""

Scope = Literal["collect", "read"]
"""What a key may do. `collect`: publish events over HTTP. `read`: see what became of the source's
events, masked. A key in a web page is public, so the one does not bring the other."""
COLLECT: Scope = "collect"
READ: Scope = "read"


def key_text(secret: str) -> str:
    """The key made of a random secret."""
    return MARK + secret


def key_hash(key: str) -> bytes:
    """What is stored and looked up: 32 bytes."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_prefix(key: str) -> str:
    """The beginning of a key, which is no secret."""
    return key[: len(MARK) + SHOWN]


def is_active(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> bool:
    """Whether a key is taken at `now`."""
    return revoked_at is None and (expires_at is None or expires_at > now)
