"""The hash that tells people apart: in which of 10,000 buckets somebody is, the same for ever."""

from hashlib import sha256

BUCKETS = 10_000


def bucket(salt: str, layer: str, unit: str) -> int:
    """From 0 to 9,999: the first 8 bytes, big-endian, of the SHA-256 of `salt:layer:unit`."""
    digest = sha256(f"{salt}:{layer}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
