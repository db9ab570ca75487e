"""Laws of segments: whatever happened in whatever order, membership is what a recount says."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.definitions import InForce, Look
from services.profile.domain.instants import instant_in, instant_text
from services.profile.domain.segment import Segment
from shared.conditions.parse import parse_condition
from tests.property.conditions.naive import ordered
from tests.unit.profile.world import World, touchpoint

NOW = instant_in("2026-11-21T12:00:00.000Z")
DAY = timedelta(days=1) // timedelta(milliseconds=1)

leaves = st.fixed_dictionaries(
    {"event": st.sampled_from("AB"), "count": st.builds(
        lambda op, bound: {op: bound},
        st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
        st.integers(0, 3),
    )},
    optional={
        "within": st.sampled_from(["P1D", "P2D"]),
        "where": st.just({"attr": "event.n", "op": "gte", "value": 2}),
    },
)  # fmt: skip
happenings = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.integers(0, 3),
        st.integers(0, 8),
        st.sampled_from([("email",), ("phone",), ("email", "phone")]),
    ),
    min_size=1,
    max_size=14,
)


def look(documents: list[dict[str, Any]]) -> Look:
    definitions = compile_definitions(
        epoch=1,
        floor=0,
        in_force=[
            InForce(Segment(f"s{n}", "", parse_condition(one, allow_event_leaves=True)), 1)
            for n, one in enumerate(documents)
        ],
        streams_since={},
    )
    return Look(definitions, NOW)


def recount(leaf: dict[str, Any], past: list[tuple[str, int, int]]) -> bool:
    """Whether the leaf holds for (type, n, instant) of the past, counted one by one."""
    days = int(leaf["within"][1:-1]) if "within" in leaf else 10_000
    count = sum(
        type_ == leaf["event"] and ("where" not in leaf or n >= 2) and instant + days * DAY > NOW
        for type_, n, instant in past
    )
    ((op, bound),) = leaf["count"].items()
    return ordered(op, count, bound)


@settings(max_examples=150, deadline=None)
@given(st.lists(leaves, min_size=1, max_size=5), happenings, st.sampled_from([1, 3, 100]))
def test_membership_is_what_counting_everything_again_says(
    documents: list[dict[str, Any]],
    past: list[tuple[str, int, int, tuple[str, ...]]],
    size: int,
) -> None:
    world = World(look=look(documents))
    bodies = [
        {
            **touchpoint(number, *((type_, "x") for type_ in types), type=kind),
            "occurred_at": instant_text(NOW - quarters * DAY // 2),
            "properties": {"n": n},
        }
        for number, (kind, n, quarters, types) in enumerate(past)
    ]
    world.take_in_batches(bodies, size)

    for profile in world.active():
        mine = [
            (kind, n, NOW - quarters * DAY // 2)
            for kind, n, quarters, types in past
            if world.owner(types[0], "x") == profile.id
        ]
        expected = [f"s{n}" for n, leaf in enumerate(documents) if recount(leaf, mine)]
        standing = profile.state.standing
        assert standing is not None
        assert sorted(standing.segments) == expected
    for id_ in {id_ for id_, _ in world.messages}:
        updates = [one for one in world.updates() if one["profile_id"] == id_]
        assert [one["seq"] for one in updates] == list(range(1, len(updates) + 1))
