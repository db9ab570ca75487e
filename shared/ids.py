"""Every id of Concert is made here: random ones, time-ordered ones, and ones derived from a cause.

A derived id is the same whenever the same thing is computed again; this is what makes a redelivery
harmless. So the two namespaces and the joining of parts below must never change: a change would
let every event and every action happen once more.
"""

import hashlib
import secrets
import uuid
from uuid import UUID

from shared import clock

TOUCHPOINT_NAMESPACE = UUID("6f0c1d0e-5a3b-5c52-9d8e-2b8f6a1c7e41")
ACTION_NAMESPACE = UUID("b1d8a7f2-3c94-5e0b-8a67-94e2d35cf018")
SEPARATOR = "\x00"


def random_id() -> UUID:
    """A random id (UUIDv4)."""
    return uuid.uuid4()  # noqa: TID251 - this is the one place that may


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in any of its forms."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def time_ordered_id() -> UUID:
    """A new id that sorts after those of earlier milliseconds (UUIDv7, RFC 9562 section 5.7)."""
    return _version_7(clock.unix_milliseconds(), secrets.randbits(74))


def time_ordered_id_from(milliseconds: int, seed: str) -> UUID:
    """A UUIDv7 that the same instant (Unix milliseconds, 0 to 2^48 - 1) and seed always give.

    For things that must get the same id when the same input is processed again.
    """
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()
    return _version_7(milliseconds, int.from_bytes(digest[:10], "big") & ((1 << 74) - 1))


def touchpoint_id(source: str, message_id: str) -> UUID:
    """The id of a touchpoint: UUIDv5 over the source and the publisher's own id."""
    return uuid.uuid5(TOUCHPOINT_NAMESPACE, source + SEPARATOR + message_id)


def touchpoint_id_text(source: str, message_id: str) -> str:
    """`str(touchpoint_id(…))` in a quarter of the time: ingest makes one for every event."""
    return derived_id_text(TOUCHPOINT_NAMESPACE, source, message_id)


def derived_id_text(namespace: UUID, *parts: str) -> str:
    """`str(derived_id(…))` in a quarter of the time."""
    name = SEPARATOR.join(parts).encode()
    digits = hashlib.sha1(namespace.bytes + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def action_id(*parts: str) -> UUID:
    """The id of an action: UUIDv5 over what asked for it.

    Give the rule key, the touchpoint id and the index of the action; or run, node and occurrence.
    Never a version or an attempt: publishing a rule again must not double what it sent.
    """
    return uuid.uuid5(ACTION_NAMESPACE, SEPARATOR.join(parts))


def derived_id(namespace: UUID, *parts: str) -> UUID:
    """UUIDv5 over `parts` in a namespace of the caller's own."""
    return uuid.uuid5(namespace, SEPARATOR.join(parts))


def _version_7(milliseconds: int, noise: int) -> UUID:
    """48 bits of time, version, 12 bits, variant, 62 bits; `noise` fills the 74 free bits."""
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError(f"{milliseconds} ms is outside what a UUIDv7 can hold")
    high, low = noise >> 62, noise & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
