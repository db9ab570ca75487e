"""A window's closed forms say what counting again at every instant says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.conditions.tree import COUNT_OPS, CountOp
from shared.conditions.windows import count_in, latest_kept, next_change
from tests.property.conditions.naive import ordered

instants = st.lists(st.integers(0, 60), max_size=12)
ops = st.sampled_from(COUNT_OPS)


def recount(times: list[int], within: int, at: int) -> int:
    return sum(1 for time in times if at - within < time)


def truth(times: list[int], within: int, op: str, bound: int, at: int) -> bool:
    return ordered(op, recount(times, within, at), bound)


@settings(max_examples=1500, deadline=None)
@given(instants, st.integers(1, 30), ops, st.integers(0, 6), st.integers(-5, 100))
def test_the_next_change_is_the_first_instant_at_which_a_recount_differs(
    times: list[int], within: int, op: CountOp, bound: int, at: int
) -> None:
    recent = sorted(times, reverse=True)[: latest_kept(bound)]
    now = truth(times, within, op, bound, at)

    assert ordered(op, count_in(recent, within, at), bound) is now
    found = next_change(recent, within, op, bound, at)
    after = (x for x in range(at + 1, 200) if truth(times, within, op, bound, x) is not now)
    assert found == next(after, None)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=20), st.integers(0, 5))
def test_the_newest_of_each_part_hold_the_newest_of_all(
    hung: list[tuple[int, int]], bound: int
) -> None:
    keep = latest_kept(bound)
    parts = [sorted((t for t, part in hung if part == n), reverse=True)[:keep] for n in range(4)]

    joined = sorted((time for part in parts for time in part), reverse=True)[:keep]
    assert joined == sorted((time for time, _ in hung), reverse=True)[:keep]
