"""How long touchpoints are kept, by their type; and which profiles are nobody's in particular."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.profile.domain.identity import SHARED_PREFIX, IdentityRules

ALL_OTHERS = "*"


@dataclass(frozen=True, slots=True)
class TouchpointRetention:
    """Days by type of touchpoint; `*` stands for all types that are not named. A type without
    days is kept for ever."""

    days: Mapping[str, int]

    @property
    def shortest(self) -> timedelta | None:
        """Nothing younger than this is over; None when nothing ever is."""
        return timedelta(days=min(self.days.values())) if self.days else None

    def is_over(self, type_: str, received_at: datetime, now: datetime) -> bool:
        """Whether the time of a touchpoint is over."""
        days = self.days.get(type_, self.days.get(ALL_OTHERS))
        return days is not None and received_at + timedelta(days=days) <= now


def touchpoint_retention(setting: str) -> TouchpointRetention:
    """Read `Page Viewed=90,*=730`. Raises ValueError for anything else."""
    days = {}
    for one in filter(None, setting.split(",")):
        type_, _, number = one.rpartition("=")
        days[type_.strip()] = int(number)
    return TouchpointRetention(days)


def is_anonymous(keys: Iterable[str], rules: IdentityRules) -> bool:
    """Whether none of the identifiers (`type NUL value`) is a person's own: devices, and what
    shared ones did."""
    types = {key.partition("\0")[0].removeprefix(SHARED_PREFIX) for key in keys}
    return all(rules.of(type_).role != "person" for type_ in types)
