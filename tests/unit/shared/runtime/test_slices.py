"""A crowded partition is read in slices while others are calm; everything else in whole batches."""

from collections.abc import Mapping

from shared.kafka.records import Place, Record, Span
from shared.runtime.slices import (
    COSTLY_SECONDS,
    CROWDED_RECORDS,
    EASY_SECONDS,
    FIRST_RECORDS,
    LATELY_SECONDS,
    LEAST_RECORDS,
    REMEMBERED_SECONDS,
    SLICE_SECONDS,
    TIMES_USUAL,
    Slices,
)

MOST = 1000
PART = MOST // 2
"""What is taken of each of two partitions while none is crowded."""
ONE, TWO, THREE, FOUR = (Place("t", number) for number in range(4))


def spans(counts: Mapping[Place, int]) -> list[Span]:
    return [
        Span(place, 0, count, [Record(*place, n, 0, None, None, ()) for n in range(count)])
        for place, count in counts.items()
    ]


def lively(*places: Place, now: float = 0.0, costly: bool = True) -> Slices:
    """Nobody is crowded, these partitions just had a record each, twice; records are costly."""
    slices = Slices(MOST)
    for _ in range(2):
        slices.quota(dict.fromkeys(places, 0), now)
        (turn,) = slices.turns(spans(dict.fromkeys(places, 1)), now)
        slices.took(turn, now - 9.0 if costly else now, now)
    return slices


def test_all_that_calm_partitions_have_is_one_turn() -> None:
    slices = lively(ONE, TWO)
    assert slices.quota({ONE: 3, TWO: CROWDED_RECORDS}, 0.1) == PART
    polled = spans({ONE: 3, TWO: PART})
    assert slices.turns(polled, 0.1) == [polled]


def test_the_calm_come_before_a_slice_of_the_crowded() -> None:
    slices = lively(ONE, TWO, THREE)
    assert slices.quota({ONE: 5000, TWO: 3, THREE: 0}, 0.1) == FIRST_RECORDS
    crowded, calm = spans({ONE: FIRST_RECORDS, TWO: 3})
    assert slices.turns([crowded, calm], 0.1) == [[calm], [crowded]]
    assert slices.turns([crowded], 0.2) == [[crowded]]


def slice_after(*seconds: float) -> int:
    """The quota of a crowded partition after slices that took so long."""
    slices = lively(ONE, TWO)
    quota = slices.quota({ONE: 5000, TWO: 0}, 0.1)
    for took in seconds:
        (turn,) = slices.turns(spans({ONE: quota}), 0.1)
        slices.took(turn, 0.1 - took, 0.1)
        quota = slices.quota({ONE: 5000, TWO: 0}, 0.1)
    return quota


def test_a_slice_becomes_what_can_be_applied_in_its_time() -> None:
    assert slice_after(SLICE_SECONDS) == FIRST_RECORDS
    assert slice_after(SLICE_SECONDS / 1.5) == 1.5 * FIRST_RECORDS
    assert slice_after(0.0, 0.0) == 4 * FIRST_RECORDS
    assert slice_after(0.0, 0.0, SLICE_SECONDS * 1.25) == 3.2 * FIRST_RECORDS
    assert slice_after(0.0, 0.0, SLICE_SECONDS * 100) == 2 * FIRST_RECORDS


def test_a_slice_has_bounds_and_comes_back_from_them() -> None:
    assert slice_after(0.0, *[9.0] * 9) == LEAST_RECORDS
    assert slice_after(*[0.0] * 9) == MOST
    assert slice_after(*[9.0] * 9, 0.0, 0.0) == 4 * LEAST_RECORDS


def test_what_was_learnt_is_remembered_for_a_while_when_no_more_seems_to_wait() -> None:
    slices = lively(ONE, TWO)
    quota = slices.quota({ONE: 5000, TWO: 0}, 0.1)
    (turn,) = slices.turns(spans({ONE: quota}), 0.1)
    slices.took(turn, 0.1 - SLICE_SECONDS / 2, 0.1)
    assert slices.quota({ONE: 0, TWO: 0}, 0.2) == PART
    assert slices.crowded == frozenset()
    assert slices.quota({ONE: 5000, TWO: 0}, 0.3) == 2 * FIRST_RECORDS
    (turn,) = slices.turns(spans({ONE: 2 * FIRST_RECORDS}), 0.3)
    slices.took(turn, 0.3 - 9.0, 0.3)
    slices.quota({ONE: 0, TWO: 0}, 0.4 + REMEMBERED_SECONDS)
    slices.turns(spans({TWO: 1}), 0.4 + REMEMBERED_SECONDS)
    slices.took(turn, 0.4 + REMEMBERED_SECONDS - 9.0, 0.4 + REMEMBERED_SECONDS)
    assert slices.quota({ONE: 5000, TWO: 0}, 0.4 + REMEMBERED_SECONDS) == FIRST_RECORDS


def test_what_calm_partitions_or_the_end_of_a_backlog_took_says_nothing_of_a_slice() -> None:
    slices = lively(ONE, TWO)
    quota = slices.quota({ONE: 5000, TWO: 1}, 0.1)
    calm, end = slices.turns(spans({TWO: 1, ONE: quota // 2 - 1}), 0.1)
    slices.took(calm, 0.1 - 9.0, 0.1)
    slices.took(end, 0.1 - 9.0, 0.1)
    assert slices.quota({ONE: 5000, TWO: 1}, 0.1) == quota


def test_two_crowded_partitions_share_a_slice() -> None:
    slices = lively(ONE, TWO, THREE, FOUR)
    waiting = {ONE: 5000, TWO: 0, THREE: 0, FOUR: 700}
    assert slices.quota(waiting, 0.1) == FIRST_RECORDS // 2
    assert slices.turns(spans({ONE: 25, FOUR: 25}), 0.1) == [spans({ONE: 25, FOUR: 25})]


def test_a_backlog_is_one_until_a_slice_is_all_of_it() -> None:
    slices = lively(ONE, TWO)
    assert slices.quota({ONE: CROWDED_RECORDS + 1, TWO: 0}, 0.1) == FIRST_RECORDS
    assert len(slices.turns(spans({ONE: 100, TWO: 1}), 0.1)) == 2
    slices.quota({ONE: FIRST_RECORDS + 1, TWO: 0}, 0.1)
    assert len(slices.turns(spans({ONE: 100, TWO: 1}), 0.1)) == 2
    slices.quota({ONE: FIRST_RECORDS, TWO: 0}, 0.1)
    assert len(slices.turns(spans({ONE: 100, TWO: 1}), 0.1)) == 1


def test_batches_are_whole_where_most_partitions_have_a_backlog() -> None:
    slices = lively(ONE, TWO, THREE)
    assert slices.quota({ONE: 900, TWO: 900, THREE: 0}, 0.1) == MOST
    polled = spans({ONE: 900, TWO: 100})
    assert slices.turns(polled, 0.1) == [polled]


def test_batches_are_whole_where_nobody_else_had_a_record_lately() -> None:
    waiting = {ONE: 900, TWO: 0}
    for now, quota in ((LATELY_SECONDS, FIRST_RECORDS), (LATELY_SECONDS + 0.1, MOST)):
        slices = lively(ONE, TWO)
        slices.took(spans({ONE: 1}), now - 9.0, now)
        assert slices.quota(waiting, now) == quota


def test_the_end_of_a_backlog_is_no_sign_of_life() -> None:
    slices = Slices(MOST)
    slices.quota({ONE: 5000, TWO: 30}, 0.0)
    (turn,) = slices.turns(spans({ONE: 900, TWO: 30}), 0.0)
    slices.took(turn, -9.0, 0.0)
    assert slices.quota({ONE: 4100, TWO: 0}, 0.1) == MOST


def test_a_slice_of_records_that_are_not_costly_is_larger() -> None:
    slices = lively(ONE, TWO, costly=False)
    waiting = {ONE: 5000, TWO: 0}
    (turn,) = slices.turns(spans({ONE: slices.quota(waiting, 0.1)}), 0.1)
    slices.took(turn, 0.1 - EASY_SECONDS / 2, 0.1)
    assert slices.quota(waiting, 0.1) == 2 * FIRST_RECORDS
    (turn,) = slices.turns(spans({ONE: 2 * FIRST_RECORDS}), 0.1)
    slices.took(turn, 0.1 - EASY_SECONDS, 0.1)
    assert slices.quota(waiting, 0.1) == 2 * FIRST_RECORDS
    slices.took(turn, 0.1 - 4 * FIRST_RECORDS * COSTLY_SECONDS, 0.1)
    assert slices.quota(waiting, 0.1) == FIRST_RECORDS


def test_batches_are_whole_where_all_have_much_to_do() -> None:
    slices = lively(ONE, TWO, THREE)
    behind = CROWDED_RECORDS // TIMES_USUAL + 1
    assert slices.quota({ONE: 510, TWO: behind, THREE: behind}, 0.1) == MOST
    assert slices.quota({ONE: 610, TWO: behind, THREE: behind}, 0.1) == FIRST_RECORDS


def test_a_batch_is_shared_out_while_none_is_crowded() -> None:
    assert Slices(MOST).quota(dict.fromkeys((ONE, TWO, THREE, FOUR), 0), 0.0) == MOST // 4
    assert Slices(MOST).quota({ONE: 0}, 0.0) == MOST
    many = {Place("t", number): 0 for number in range(100)}
    assert Slices(MOST).quota(many, 0.0) == FIRST_RECORDS


def test_a_small_limit_is_never_passed() -> None:
    slices = Slices(7)
    assert slices.quota({ONE: 0}, 0.0) == 7
    slices.turns(spans({TWO: 1}), 0.0)
    assert slices.quota({ONE: 5000, TWO: 0}, 0.0) == 7
    (turn,) = slices.turns(spans({ONE: 7}), 0.0)
    slices.took(turn, 0.0, 0.0)
    assert slices.quota({ONE: 5000, TWO: 0}, 0.0) == 7
