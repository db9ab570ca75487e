"""What became of each action under two configurations, and for whom it is not the same.

Both sides are told of the same updates in the same order. An action has the same id on both, made
from what asked for it; so what differs is found as soon as nothing of it waits any more, and only
that is kept. Pure.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

LIVE, DRAFT = 0, 1
"""The sides: the configuration in force, and the one with the draft in its place."""
MAX_PEOPLE = 100
"""So many people are named for whom something becomes different; all of them are counted."""
MAX_DIFFERENCES = 5
"""So many differences are shown of each of them."""
MAX_WORDS = 300
NOT_CONSIDERED = "not considered"


class Fate(NamedTuple):
    """What became of an action on one side: it got to a `channel`, it waits, or it came to nothing,
    for the reason in `words`."""

    state: Literal["done", "waits", "nothing"]
    channel: str = ""
    words: str = ""

    def said(self) -> str:
        """The fate in words."""
        if self.state == "done":
            return f"sent on {self.channel}"
        return "waits" if self.state == "waits" else self.words


UNCONSIDERED = Fate("nothing", words=NOT_CONSIDERED)


class Difference(NamedTuple):
    """One action of a rule with its fates."""

    rule: str
    at: datetime
    live: Fate
    draft: Fate

    def why(self) -> str:
        """What changes, and why, in words."""
        live, draft = self.live, self.draft
        if live.state == "nothing":
            return f"would be {draft.said()} by {self.rule}, was not: {live.said()}"[:MAX_WORDS]
        if draft.state == "nothing":
            return f"was {live.said()} by {self.rule}, now not: {draft.said()}"[:MAX_WORDS]
        return f"was {live.said()} by {self.rule}, now {draft.said()}"[:MAX_WORDS]


@dataclass(slots=True)
class Changed:
    """One person for whom something is different; `total` counts what is not shown, too."""

    who: str
    total: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    who: str
    rule: str
    at: datetime
    fates: list[Fate | None] = field(default_factory=lambda: [None, None])


class Fates:
    """Told what becomes of actions on either side; `settle` after both took the same step."""

    def __init__(self) -> None:
        self._open: dict[UUID, _Open] = {}
        self._touched: dict[UUID, None] = {}
        self._people: set[str] = set()
        self._shown: dict[str, Changed] = {}

    def note(self, side: int, key: UUID, fate: Fate, who: str, rule: str, at: datetime) -> None:
        """This became of the action on a side; the last one told of counts."""
        known = self._open.get(key)
        if known is None:
            known = self._open[key] = _Open(who, rule, at)
        known.fates[side] = fate
        self._touched[key] = None

    def settle(self) -> None:
        """Both sides have seen the same: compare what is over."""
        for key in self._touched:
            one = self._open[key]
            if not any(fate is not None and fate.state == "waits" for fate in one.fates):
                self._compare(one)
                del self._open[key]
        self._touched.clear()

    def end(self) -> None:
        """Nothing more comes: what still waits would be done."""
        for one in self._open.values():
            self._compare(one)
        self._open.clear()
        self._touched.clear()

    @property
    def waiting(self) -> int:
        """How many actions are not over yet on both sides."""
        return len(self._open)

    @property
    def total(self) -> int:
        """How many people something is different for."""
        return len(self._people)

    @property
    def changed(self) -> list[Changed]:
        """Those of them who come first, in the order in which it became different."""
        return list(self._shown.values())

    def _compare(self, one: _Open) -> None:
        live, draft = (fate or UNCONSIDERED for fate in one.fates)
        if _outcome(live) == _outcome(draft) or _same_later(live, draft):
            return
        self._people.add(one.who)
        shown = self._shown.get(one.who)
        if shown is None:
            if len(self._shown) >= MAX_PEOPLE:
                return
            shown = self._shown[one.who] = Changed(one.who)
        shown.total += 1
        if len(shown.differences) < MAX_DIFFERENCES:
            shown.differences.append(Difference(one.rule, one.at, live, draft))


def _outcome(fate: Fate) -> str | None:
    return fate.channel if fate.state == "done" else None


def _same_later(live: Fate, draft: Fate) -> bool:
    """Whether both are done, one of them later than was looked at."""
    waits = "waits" in (live.state, draft.state)
    return waits and "nothing" not in (live.state, draft.state)
