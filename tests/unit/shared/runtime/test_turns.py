"""Who is read next: what calm partitions have goes before a slice of a backlog."""

from shared.kafka.records import Place
from shared.runtime.turns import (
    CROWDED,
    FIRST_RECORDS,
    LATELY_SECONDS,
    LEAST_RECORDS,
    Turn,
    Turns,
)

CALM, STORMY = Place("touchpoints", 1), Place("touchpoints", 0)
MOST = 1000


def stormy(now: float = 10.0, waiting: int = 3000) -> tuple[Turns, list[Turn]]:
    """Turns that have just seen a calm record take 20 ms, and what they plan in a storm."""
    turns = Turns(MOST)
    (first,) = turns.plan({STORMY: 0, CALM: 0}, now)
    turns.took(first, {CALM: 1}, 0.02, now)
    return turns, turns.plan({STORMY: waiting, CALM: 2}, now)


def test_where_nobody_has_a_backlog_all_are_read_together() -> None:
    turns = Turns(MOST)
    (turn,) = turns.plan({STORMY: CROWDED, CALM: 5}, 0.0)
    assert (turn.places, turn.max_records, turn.backlog) == ([STORMY, CALM], MOST, False)


def test_what_was_not_known_to_wait_is_taken_in_a_small_part_first() -> None:
    turns = Turns(MOST)
    (turn,) = turns.plan({STORMY: 0, CALM: 0}, 0.0)
    assert turn.max_records == FIRST_RECORDS
    turns.took(turn, {STORMY: 100}, 0.02, 0.0)
    assert turns.plan({STORMY: 0, CALM: 0}, 0.0)[0].max_records == MOST
    assert turns.plan({STORMY: 0, CALM: 0}, 0.0)[0].max_records == FIRST_RECORDS


def test_where_most_have_a_backlog_batches_are_whole() -> None:
    turns, _ = stormy()
    (turn,) = turns.plan({STORMY: 3000, Place("touchpoints", 2): 3000, CALM: 1}, 10.0)
    assert (len(turn.places), turn.max_records) == (3, MOST)


def test_calm_partitions_do_not_wait_and_go_before_a_slice_of_the_backlog() -> None:
    _, (calm, slice_) = stormy()
    assert (calm.places, calm.max_records, calm.wait_ms) == ([CALM], MOST, 0)
    assert (slice_.places, slice_.max_records, slice_.backlog) == ([STORMY], FIRST_RECORDS, True)


def test_a_slice_grows_and_shrinks_towards_what_a_calm_turn_takes() -> None:
    turns, (_, slice_) = stormy()
    turns.took(slice_, {STORMY: 100}, 0.04, 10.1)
    assert turns.plan({STORMY: 2900, CALM: 0}, 10.1)[1].max_records == 50
    for _ in range(9):
        (_, slice_) = turns.plan({STORMY: 2900, CALM: 0}, 10.1)
        turns.took(slice_, {STORMY: slice_.max_records}, 0.001, 10.1)
    assert slice_.max_records == MOST
    for _ in range(9):
        (_, slice_) = turns.plan({STORMY: 2900, CALM: 0}, 10.1)
        turns.took(slice_, {STORMY: slice_.max_records}, 5.0, 10.1)
    assert slice_.max_records == LEAST_RECORDS


def test_the_end_of_a_backlog_is_sliced_too() -> None:
    turns, (_, slice_) = stormy()
    turns.took(slice_, {STORMY: 100}, 0.02, 10.1)
    assert len(turns.plan({STORMY: 150, CALM: 0}, 10.1)) == 2
    assert len(turns.plan({STORMY: 100, CALM: 0}, 10.1)) == 1


def test_who_is_alone_for_long_has_whole_batches() -> None:
    turns, _ = stormy(now=10.0)
    later = 10.0 + LATELY_SECONDS + 0.1
    (turn,) = turns.plan({STORMY: 3000, CALM: 0}, later)
    assert (turn.places, turn.max_records) == ([STORMY, CALM], MOST)
    turns.took(turn, {STORMY: 999, CALM: 1}, 0.5, later)
    assert len(turns.plan({STORMY: 2000, CALM: 0}, later)) == 2


def test_the_end_of_a_backlog_is_nobody_to_take_turns_with() -> None:
    turns = Turns(MOST)
    (turn,) = turns.plan({STORMY: 3000, CALM: 3000}, 0.0)
    turns.took(turn, {CALM: 400}, 0.1, 0.1)
    (turn,) = turns.plan({STORMY: 3000, CALM: 0}, 0.1)
    assert turn.places == [STORMY, CALM]
    assert len(turns.plan({STORMY: 3000, CALM: 0}, 3.0)) == 1


def test_while_a_slice_is_under_way_only_the_calm_are_read() -> None:
    turns, _ = stormy()
    other = Place("touchpoints", 2)
    (turn,) = turns.plan({STORMY: 2900, other: 900, CALM: 0}, 10.0, busy={STORMY})
    assert turn.places == [other, CALM]
    turns.plan({STORMY: 2900, other: 900, CALM: 0}, 10.0)
    (turn,) = turns.plan({STORMY: 2900, other: 900, CALM: 0}, 10.0, busy={STORMY})
    assert turn.places == [CALM]
    assert turns.plan({STORMY: 2900, other: 900}, 10.0, busy={STORMY}) == []


def test_who_was_crowded_lately_is_not_calm() -> None:
    turns, _ = stormy(now=10.0)
    (turn,) = turns.plan({STORMY: 3000, CALM: 3000}, 10.1)
    turns.took(turn, {STORMY: 990, CALM: 10}, 0.2, 10.3)
    (turn,) = turns.plan({STORMY: 2000, CALM: 0}, 10.3)
    assert turn.places == [STORMY, CALM]
    turns.took(turn, {STORMY: 990, CALM: 10}, 0.2, 12.2)
    assert len(turns.plan({STORMY: 2000, CALM: 0}, 12.2)) == 2
