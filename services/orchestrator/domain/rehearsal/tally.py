"""What is counted of one side of a rehearsal, and how two of them are shown beside each other."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_NAMES = 2_000
"""So many names are counted by themselves (rules, reasons, caps), the rest together."""
OTHERS = "(others)"


@dataclass(slots=True)
class Tally:
    """Counts of one side. `actions` got to their channel; `by_reason` and `by_cap` are of what
    stopped, and of what was taken back before it got there; `by_node` is of journeys."""

    considered: int = 0
    decisions: int = 0
    actions: int = 0
    withdrawn: int = 0
    """Actions that were taken back after they got to their channel."""
    people: set[str] = field(default_factory=set)
    by_rule: Counter[str] = field(default_factory=Counter)
    by_channel: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    by_cap: Counter[str] = field(default_factory=Counter)
    by_node: Counter[str] = field(default_factory=Counter)

    def acted(self, rule: str, channel: str, who: str) -> None:
        """An action got to its channel."""
        self.actions += 1
        self.people.add(who)
        self.by_rule[rule] += 1
        self.by_channel[channel] += 1

    def stopped(self, stage: str, reason: str, condition: str) -> None:
        """A candidate stopped at a gate."""
        self._count(self.by_reason, f"suppression: {reason}" if stage == "suppression" else reason)
        if stage == "cap":
            self._count(self.by_cap, condition)

    def taken_back(self, reason: str) -> None:
        """An action that waited never got to its channel."""
        word, _, rest = reason.partition(": ")
        self._count(self.by_reason, f"taken back: {word}")
        if word == "cap":
            self._count(self.by_cap, rest)

    def _count(self, counter: Counter[str], name: str) -> None:
        counter[name if name in counter or len(counter) < MAX_NAMES else OTHERS] += 1


SUMS = ("considered", "decisions", "actions", "withdrawn")
TABLES = ("by_rule", "by_channel", "by_reason", "by_cap", "by_node")


def beside(live: Tally, draft: Tally) -> dict[str, Any]:
    """Both sides of every count, by name in the order of names."""
    found: dict[str, Any] = {
        name: {"live": getattr(live, name), "draft": getattr(draft, name)} for name in SUMS
    }
    found["people"] = {"live": len(live.people), "draft": len(draft.people)}
    for name in TABLES:
        found[name] = _both(getattr(live, name), getattr(draft, name))
    return found


def _both(live: Mapping[str, int], draft: Mapping[str, int]) -> dict[str, dict[str, int]]:
    return {
        name: {"live": live.get(name, 0), "draft": draft.get(name, 0)}
        for name in sorted(live.keys() | draft.keys())
    }
