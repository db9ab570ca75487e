"""The time zone that a customer's device reported, read from the context of a touchpoint."""

import msgspec

from services.profile.domain.survivorship import MAX_NAME, canonical


class _ContextZone(msgspec.Struct, gc=False):
    timezone: str | None = None


_decoder = msgspec.json.Decoder(_ContextZone)


def zone_of(context: msgspec.Raw) -> bytes | None:
    """As a trait's value is kept; None where there is none."""
    try:
        zone = _decoder.decode(context).timezone
    except msgspec.MsgspecError:
        return None
    return canonical(zone) if zone and len(zone) <= MAX_NAME else None
