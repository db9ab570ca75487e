"""What only asks how many touchpoints there are is decided where the answer can turn."""

from typing import Any

import pytest

from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.definitions import InForce, Look
from services.profile.domain.segment import Segment
from shared.conditions.closure import compile_condition
from shared.conditions.facts import Facts
from shared.conditions.parse import parse_condition
from tests.unit.profile.world import World, touchpoint

TOUCHPOINTS = "profile.computed.touchpoints"
COMPARISONS: list[tuple[str, Any]] = [
    *((op, bound) for op in ("eq", "ne", "gt", "gte", "lt", "lte") for bound in (0, 3, 2.5, -1)),
    ("between", [2, 4]),
    ("between", [1.5, 3.5]),
    ("in", [2, 5]),
    ("nin", [2, 3, 6.5]),
    ("exists", True),
    ("exists", False),
    ("gte", "3"),
]


@pytest.mark.parametrize(("op", "value"), COMPARISONS)
@pytest.mark.parametrize("negated", [False, True])
def test_after_every_touchpoint_the_membership_is_what_the_condition_says(
    op: str, value: Any, negated: bool
) -> None:
    leaf = {"attr": TOUCHPOINTS, "op": op, "value": value}
    condition = parse_condition({"not": leaf} if negated else leaf)
    definitions = compile_definitions(
        epoch=1,
        floor=0,
        in_force=[InForce(Segment("s", "s", condition), 1)],
        streams_since={},
    )
    world, holds = World(look=Look(definitions, 0)), compile_condition(condition)
    for number in range(1, 9):
        world.take(touchpoint(number, ("user_id", "u")))
        (profile,) = world.active()
        assert profile.state.standing is not None
        member = "s" in profile.state.standing.segments
        assert member is holds(Facts(computed={"touchpoints": number})), number


def test_between_two_turns_nothing_is_asked() -> None:
    leaf = {"attr": TOUCHPOINTS, "op": "gte", "value": 5}
    definitions = compile_definitions(
        epoch=1,
        floor=0,
        in_force=[InForce(Segment("s", "s", parse_condition(leaf)), 1)],
        streams_since={},
    )
    assert (definitions.always, definitions.by_touchpoints) == (0, {5: 1, 6: 1})
