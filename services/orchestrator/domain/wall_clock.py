"""From what a clock on the wall shows to instants, where clocks are put forward and back.

A local time that is skipped stands for the instant of the jump. One that comes twice has a first
and a last instant; which of them is meant is said by the caller. All instants are UTC.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_STEP = timedelta(seconds=1)


def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the zone's clock shows `local` (naive), or has jumped over it."""
    return _instant(local, zone, fold=0)


def last_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The last instant at which the zone's clock shows `local` (naive), or has jumped over it."""
    return _instant(local, zone, fold=1)


def _instant(local: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    found = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return found
    return _jump_over(local, zone)


def _jump_over(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of the jump that skips `local`: between what it is by the offset after the jump
    and what it is by the one before. Offsets change on whole seconds."""
    before, after = (
        local.replace(tzinfo=zone, fold=fold).astimezone(UTC).replace(microsecond=0)
        for fold in (1, 0)
    )
    after += _STEP
    while after - before > _STEP:
        middle = before + _STEP * ((after - before) // _STEP // 2)
        if middle.astimezone(zone).replace(tzinfo=None, fold=0) < local:
            before = middle
        else:
            after = middle
    return after
