"""Who published a record that could not be read: as far as it says so, for the counters."""

import msgspec

from services.ingest.domain.dialect import SOURCE_HEADER
from shared.contracts.dead_letter import Headers


class _Named(msgspec.Struct):
    source: str | None = None


_decoder = msgspec.json.Decoder(_Named)
_HEADERS = (SOURCE_HEADER, "ce_source")
"""The collector's word first, then that of a binary CloudEvent."""


def publisher_of(value: bytes | None, headers: Headers) -> str | None:
    """The source that a record names; None when it names none, or not so that it can be read."""
    named = {name.lower(): content for name, content in headers if content}
    for name in _HEADERS:
        if name in named:
            return named[name].decode("utf-8", "replace")
    if not value:
        return None
    try:
        found = _decoder.decode(value).source
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if found is None else found.strip().replace("\0", "")
