"""What a publication would do to the runs that are under way: said before it is done.

Where runs stand is counted by version and node, so that a million of them are as cheap as ten.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from services.orchestrator.domain.journeys.journey import Journey, Node

Place = tuple[int, str | None]
"""A version, and the node on which runs of it stand; None: before the first one."""
Fate = Literal["stays", "goes_on", "finishes", "exits"]
"""What becomes of a run: it keeps its version; it goes on from here by the new one; it finishes
what it waits for here, as it was, and takes its next step from the new one; it leaves."""


@dataclass(frozen=True, slots=True)
class Affected:
    """The runs on one node: how many, what becomes of them, and at which nodes they may come next.
    `lost` are ways on that end in nothing: whoever takes one leaves the journey."""

    version: int
    node: str | None
    runs: int
    fate: Fate
    next: tuple[str, ...]
    lost: tuple[str, ...]


def preview(
    versions: Mapping[int, Journey], draft: Journey, places: Mapping[Place, int]
) -> list[Affected]:
    """What the publication of a draft would do to the runs at each place, by version and node."""
    return [
        _affected(versions[version], draft, node, count)
        for (version, node), count in sorted(places.items(), key=lambda one: _order(one[0]))
    ]


def totals(affected: Iterable[Affected]) -> Counter[Fate]:
    """How many runs in all have which fate."""
    sums: Counter[Fate] = Counter()
    for one in affected:
        sums[one.fate] += one.runs
    return sums


def is_same_step(before: Node | None, after: Node | None) -> bool:
    """Whether who stands on the one may go on from the other: both wait for the same kind of
    thing."""
    return before is not None and after is not None and type(before.does) is type(after.does)


def _affected(own: Journey, draft: Journey, node: str | None, count: int) -> Affected:
    before = own.nodes.get(node or "")
    fate = _fate(draft, node, before)
    by = draft if fate == "goes_on" else own
    ways: tuple[str, ...] = ()
    if node is None:
        ways = (by.first,)
    elif fate != "exits" and node in by.nodes:
        ways = tuple(dict.fromkeys(by.nodes[node].leads.values()))
    if fate != "finishes":
        return Affected(own.version, node, count, fate, ways, ())
    after = {way: draft.stands_for(way) for way in ways}
    goes = tuple(to for to in after.values() if to is not None)
    lost = tuple(way for way, to in after.items() if to is None)
    return Affected(own.version, node, count, fate, goes, lost)


def _fate(draft: Journey, node: str | None, before: Node | None) -> Fate:
    if draft.version_policy == "pin":
        return "stays"
    if node is None or is_same_step(before, draft.nodes.get(node)):
        return "goes_on"
    return "exits" if draft.removed == "exit" else "finishes"


def _order(place: Place) -> tuple[int, str]:
    return place[0], place[1] or ""
