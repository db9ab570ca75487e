"""Layers: experiments of one layer share its people out among them, those of different layers mix.

A layer's name is the salt of a hash that puts everybody in one of its 10,000 buckets. Each
experiment of the layer holds spans of these buckets that no other one holds, so no customer is in
two of them. Another layer has another salt: where somebody is in one says nothing about the other.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.orchestrator.domain.buckets import BUCKETS, bucket
from shared.errors import Conflict

LAYER = "layer"


class Span(NamedTuple):
    """The buckets from `low` up to, but without, `high`."""

    low: int
    high: int


Traffic = tuple[Span, ...]
"""The buckets of a layer that an experiment holds, in order."""


def layer_bucket(layer: str, unit: str) -> int:
    """Where in a layer a unit is, the same for all experiments of the layer."""
    return bucket(layer, LAYER, unit)


def holds(traffic: Traffic, place: int) -> bool:
    """Whether a bucket of the layer is one of those."""
    return any(span.low <= place < span.high for span in traffic)


def claim(percent: float, own: Traffic, others: Mapping[str, Traffic]) -> Traffic:
    """So many percent of a layer: of the experiment's `own` buckets as many as it may keep, and
    what it lacks of those that none of the `others`, by key, holds. More percent only add people,
    fewer only take people out.

    Raises Conflict, with who holds what, when the layer has not so many left.
    """
    wanted = round(percent * BUCKETS / 100)
    taken = _places(span for traffic in others.values() for span in traffic)
    kept = [place for place in sorted(_places(own)) if place not in taken][:wanted]
    held = set(kept)
    free = (place for place in range(BUCKETS) if place not in taken and place not in held)
    more = [place for place, _ in zip(free, range(wanted - len(kept)), strict=False)]
    if len(kept) + len(more) < wanted:
        named = ", ".join(f"{key} {size(one):g} %" for key, one in sorted(others.items()) if one)
        left = (BUCKETS - len(taken)) * 100 / BUCKETS
        raise Conflict(f"the layer has {left:g} % left, {percent:g} % are asked for: {named}")
    return _spans(sorted([*kept, *more]))


def size(traffic: Traffic) -> float:
    """How many percent of the layer that is."""
    return sum(span.high - span.low for span in traffic) * 100 / BUCKETS


def _places(spans: Iterable[Span]) -> set[int]:
    return {place for span in spans for place in range(span.low, span.high)}


def _spans(places: list[int]) -> Traffic:
    found: list[Span] = []
    for place in places:
        if found and found[-1].high == place:
            found[-1] = Span(found[-1].low, place + 1)
        else:
            found.append(Span(place, place + 1))
    return tuple(found)
