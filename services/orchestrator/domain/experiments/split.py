"""Who gets which share: the 10,000 buckets of a hash, dealt out by weight.

A split remembers how the buckets were dealt out. When weights change, a share that grows keeps all
it has and a share that shrinks gives up its highest buckets: as few people move as can, and nobody
out of a share that grows.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from services.orchestrator.domain.buckets import BUCKETS, bucket

SPLIT = "split"
"""The layer of random splits and of arms: each has a salt of its own."""


@dataclass(frozen=True, slots=True)
class Share:
    """The buckets from `low` up to, but without, `high` belong to `name`."""

    low: int
    high: int
    name: str


@dataclass(frozen=True, slots=True)
class Split:
    """Shares in order that cover all buckets without a gap."""

    shares: tuple[Share, ...]

    def at(self, place: int) -> str:
        """Whose bucket it is."""
        return self.shares[bisect_right(self.shares, place, key=lambda one: one.low) - 1].name

    def of(self, salt: str, unit: str) -> tuple[str, int]:
        """In which share a unit is, and its bucket."""
        place = bucket(salt, SPLIT, unit)
        return self.at(place), place


def split(weights: Mapping[str, float], previous: Split | None = None) -> Split:
    """Deals the buckets out by weights in percent, which have two decimals at most and sum to 100;
    with a `previous` split so that as few as can change hands.

    Raises ValueError when the weights do not sum to 100.
    """
    wanted = {name: round(weight * BUCKETS / 100) for name, weight in weights.items()}
    if sum(wanted.values()) != BUCKETS:
        raise ValueError(f"the weights sum to {sum(wanted.values()) * 100 / BUCKETS:g}, not 100")
    owners: list[str | None] = [None] * BUCKETS
    lacking = dict(wanted)
    for share in () if previous is None else previous.shares:
        kept = min(share.high - share.low, lacking.get(share.name, 0))
        owners[share.low : share.low + kept] = [share.name] * kept
        lacking[share.name] = lacking.get(share.name, 0) - kept
    waiting = (name for name, many in lacking.items() for _ in range(many))
    dealt = [next(waiting) if owner is None else owner for owner in owners]
    return Split(tuple(_shares(dealt)))


def _shares(owners: Iterable[str]) -> Iterable[Share]:
    low = 0
    for name, run in groupby(owners):
        high = low + sum(1 for _ in run)
        yield Share(low, high, name)
        low = high
