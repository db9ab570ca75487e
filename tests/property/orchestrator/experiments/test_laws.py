"""Laws that hold for all weights, layers, exposures, tallies and touches."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from statistics import fmean, variance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.buckets import BUCKETS
from services.orchestrator.domain.experiments.exposure import Exposure, Place, first
from services.orchestrator.domain.experiments.layers import Traffic, claim, holds, size
from services.orchestrator.domain.experiments.split import Split, split
from services.orchestrator.domain.experiments.tally import Tally
from shared.errors import Conflict
from tests.unit.orchestrator.experiments.build import tally_of

AT = datetime(2026, 11, 1, tzinfo=UTC)
HOURS = st.integers(0, 200).map(lambda hours: AT + timedelta(hours=hours))
WEIGHTS = st.lists(st.integers(0, BUCKETS), min_size=1, max_size=4).map(
    lambda cuts: {
        name: (high - low) / 100
        for name, low, high in zip("abcde", [0, *sorted(cuts)], [*sorted(cuts), BUCKETS],
                                   strict=False)
    }
)  # fmt: skip


def owners(one: Split) -> list[str]:
    return [share.name for share in one.shares for _ in range(share.low, share.high)]


@settings(max_examples=200, deadline=None)
@given(st.lists(WEIGHTS, min_size=2, max_size=4))
def test_a_share_that_grows_loses_nobody_and_as_few_move_as_can(
    versions: list[dict[str, float]],
) -> None:
    before = split(versions[0])
    for weights in versions[1:]:
        after = split(weights, before)
        was, now = owners(before), owners(after)
        had, has = Counter(was), Counter(now)
        assert {name: many / 100 for name, many in has.items()} == pytest.approx(
            {name: weight for name, weight in weights.items() if weight}
        )
        moved = [old for old, new in zip(was, now, strict=True) if old != new]
        assert all(has[old] < had[old] for old in moved), "only who shrinks gives up"
        assert len(moved) == sum(max(0, had[name] - has[name]) for name in had)
        before = after


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6_000)), max_size=12))
def test_no_bucket_of_a_layer_is_ever_held_twice(steps: list[tuple[int, int]]) -> None:
    held: dict[str, Traffic] = {}
    for name, cents in steps:
        key = f"e{name}"
        others = {other: traffic for other, traffic in held.items() if other != key}
        free = 100 - sum(size(traffic) for traffic in others.values())
        try:
            after = claim(cents / 100, held.get(key, ()), others)
        except Conflict:
            assert cents / 100 > free + 1e-9
            continue
        before = held.get(key, ())
        assert size(after) == pytest.approx(cents / 100)
        small, large = (before, after) if size(before) <= size(after) else (after, before)
        edges = [place for span in small for place in (span.low, span.high - 1)]
        assert all(holds(large, place) for place in edges), "it only grew, or only shrank"
        held[key] = after
        places = [place for one in held.values() for span in one
                  for place in range(span.low, span.high)]  # fmt: skip
        assert len(places) == len(set(places))


EXPOSURES = st.builds(
    Exposure,
    experiment=st.just("e"),
    profile_id=st.sampled_from(["p", "q"]),
    arm=st.sampled_from(["a", "b"]),
    phase=st.integers(1, 2),
    at=HOURS,
    seq=st.integers(1, 3),
    version=st.just(1),
    place=st.builds(Place, st.just("rule"), st.sampled_from(["x", "y"])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EXPOSURES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_what_is_known_of_a_person_does_not_depend_on_the_order(
    told: list[Exposure], random: object
) -> None:
    expected = list(accumulate(told, first))[-1]
    again = [*told, *told]
    random.shuffle(again)  # type: ignore[attr-defined]  # a Random, as hypothesis hands it
    assert list(accumulate(again, first))[-1] == expected
    assert expected.at == min(one.at for one in told)
    assert expected.mixed is (len({one.arm for one in told}) > 1)


PEOPLE = st.lists(
    st.tuples(st.floats(-100, 100), st.none() | st.floats(-100, 100)), min_size=0, max_size=30
)


@settings(max_examples=300, deadline=None)
@given(PEOPLE, PEOPLE)
def test_tallies_of_parts_are_the_tally_of_the_whole(
    one: list[tuple[float, float | None]], other: list[tuple[float, float | None]]
) -> None:
    whole, parts = tally_of([*one, *other]), tally_of(one) + tally_of(other)
    for name in Tally.__slots__:
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-6)
    outcomes = [outcome for outcome, _ in [*one, *other]]
    if len(outcomes) > 1:
        moments = whole.moments
        assert math.isclose(moments.mean, fmean(outcomes), abs_tol=1e-9)
        assert math.isclose(moments.variance, variance(outcomes), rel_tol=1e-6, abs_tol=1e-6)
