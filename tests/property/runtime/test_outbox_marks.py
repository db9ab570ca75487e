"""Whatever order transactions begin, take ids and end in: no mark passes a row still to be seen."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import clock
from shared.postgres.outbox import Found, Frame
from shared.runtime.outbox_marks import FULL_SECONDS, OutboxMarks

LIMIT = 2
STEPS = st.lists(
    st.tuples(st.sampled_from(("begin", "row", "commit", "abort", "look", "look")), st.integers(0)),
    max_size=80,
)


@dataclass
class Database:
    """Transactions and rows as PostgreSQL numbers and shows them; every row is of one shard."""

    next_xid: int = 100
    next_id: int = 1
    running: dict[int, list[int]] = field(default_factory=dict)
    visible: list[int] = field(default_factory=list)
    published: list[int] = field(default_factory=list)

    def step(self, what: str, pick: int) -> None:
        """One thing that a writer does."""
        if what == "begin":
            self.running[self.next_xid] = []
            self.next_xid += 1
        elif self.running:
            xid = sorted(self.running)[pick % len(self.running)]
            if what == "row":
                self.running[xid].append(self.next_id)
                self.next_id += 1
            else:
                rows = self.running.pop(xid)
                self.visible = sorted(self.visible + rows * (what == "commit"))

    def look(self, marks: OutboxMarks) -> None:
        """A round of the relay. Raises AssertionError when it passed a row."""
        above = marks.above([0])[0]
        ids = [id_ for id_ in self.visible if id_ > above][:LIMIT]
        frames = [Frame(0, id_, "t", 0, b"") for id_ in ids]
        found = Found(frames, min(self.running, default=self.next_xid), self.next_xid)
        marks.found(found)
        self.visible = [id_ for id_ in self.visible if id_ not in ids]
        marks.gone([0], frames, LIMIT)
        self.published += ids
        coming = [*self.visible, *(id_ for rows in self.running.values() for id_ in rows)]
        mark = marks.above([0])[0]
        assert mark < min(coming, default=self.next_id)


@given(STEPS)
def test_no_mark_passes_a_row(steps: list[tuple[str, int]]) -> None:
    database, marks = Database(), OutboxMarks()
    marks.above([0])  # the first look is at everything; those after it go by the marks
    for what, pick in steps:
        if what == "look":
            database.look(marks)
        else:
            database.step(what, pick)


def test_marks_go_on_once_everybody_who_could_be_below_has_ended() -> None:
    database, marks = Database(), OutboxMarks()
    for _ in range(3):
        for what in ("begin", "row", "commit"):
            database.step(what, 0)
    for _ in range(4):
        database.look(marks)
    assert database.published == [1, 2, 3]
    assert marks.above([0]) == {0: 3}


def test_everything_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(clock, "monotonic_seconds", lambda: now)
    database, marks = Database(), OutboxMarks()
    marks.above([0])
    for what in ("begin", "row", "commit"):
        database.step(what, 0)
    for _ in range(4):
        database.look(marks)
    assert marks.above([0]) == {0: 1}
    now += FULL_SECONDS
    assert marks.above([0]) == {0: 0}
    assert marks.above([0]) == {0: 1}
