"""Exposures: who was in which arm when the decision was made, whatever came of it.

It is logged for every arm, the control too, at the same place: where the arm was asked for. What
was sent later, or not, depends on the arm; who is counted must not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

PlaceKind = Literal["rule", "journey", "node", "touchpoint"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the arm was asked for: a rule; the entry of a journey, or one of its nodes; or a
    question of a channel for one of its slots."""

    kind: PlaceKind
    key: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """The first time that somebody's arm mattered. `seq` is the number of the update it was in, of
    the profile `of` (empty: `profile_id` itself), so that "after" is never a question of clocks.
    `mixed` says that the person has been in another arm since, and is not counted."""

    experiment: str
    profile_id: str
    arm: str
    phase: int
    at: datetime
    seq: int
    version: int
    place: Place
    mixed: bool = False
    of: str = ""


def first(one: Exposure, other: Exposure) -> Exposure:
    """What is known of a person after two exposures to one experiment: the earlier one, mixed if
    the arms differ. In whatever order and however often they are told, the same comes out.

    Two profiles that turn out to be one person are two exposures too.
    """
    earlier = min(one, other, key=_order)
    mixed = one.mixed or other.mixed or one.arm != other.arm
    return replace(earlier, mixed=mixed)


def firsts(exposures: Iterable[Exposure]) -> list[Exposure]:
    """One exposure for each person and experiment."""
    found: dict[tuple[str, str], Exposure] = {}
    for one in exposures:
        place = (one.profile_id, one.experiment)
        known = found.get(place)
        found[place] = one if known is None else first(known, one)
    return list(found.values())


def _order(one: Exposure) -> tuple[object, ...]:
    place = (one.place.kind, one.place.key, one.place.node or "")
    return one.at, one.seq, one.profile_id, one.phase, one.version, one.arm, place
