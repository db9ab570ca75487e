"""What is counted of a journey: how many came to each node, went on by which edge, and ended why.

Counts come from the lines of the log alone, so that they and the log can never disagree; how many
stand at a node now is the difference of who came and who left.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol


class Noted(Protocol):
    """A line of a run's log, as far as it is counted."""

    @property
    def kind(self) -> str: ...
    @property
    def node(self) -> str | None: ...
    @property
    def word(self) -> str: ...


Count = tuple[str, str, str]
"""The node (empty: the whole journey), what is counted, and the word for it."""

_OF_NODES = frozenset({"arrived", "left", "answered", "held", "spared", "skipped", "moved"})
_OF_ALL = frozenset({"entered", "refused", "ended", "goal", "aside", "aside_over"})
_BY_WORD = frozenset({"left", "answered", "refused", "ended"})


def counts_of(notes: Iterable[Noted]) -> Counter[Count]:
    """The counts of some lines. The goal counts for the journey and for the node that got the
    credit."""
    found: Counter[Count] = Counter()
    for note in notes:
        word = note.word if note.kind in _BY_WORD else ""
        if note.kind in _OF_NODES and note.node is not None:
            found[(note.node, note.kind, word)] += 1
        elif note.kind in _OF_ALL:
            found[("", note.kind, word)] += 1
        if note.kind == "goal" and note.word:
            found[(note.word, "goal", "")] += 1
    return found
