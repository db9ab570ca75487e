"""What an update says of the traits that its touchpoint changed."""

from typing import Any

from tests.unit.profile.test_computed_traits import bought, computed
from tests.unit.profile.test_declared_traits import look
from tests.unit.profile.world import World, touchpoint

USER = ("user_id", "u")


def said(number: int, **traits: Any) -> dict[str, Any]:
    return touchpoint(number, USER, kind="identify", type="identify", traits=traits)


def test_tells_values_before_and_only_of_what_changed() -> None:
    world = World()
    world.take(said(1, tier="silver", city="Lyon"))
    world.take(said(2, tier="gold", city="Lyon"), said(3, city=None, age=7), touchpoint(4, USER))
    first, second, third, fourth = world.updates()
    assert "changed" not in first
    assert second["changed"] == {"tier": "silver"}
    assert third["changed"] == {"age": None, "city": "Lyon"}
    assert "changed" not in fourth


def test_what_is_outdone_changed_nothing() -> None:
    world = World()
    world.take(touchpoint(1, USER), said(9, tier="gold"))
    world.take(said(5, tier="silver"))
    assert [one.get("changed") for one in world.updates()] == [None, {"tier": None}, None]


def test_tells_computed_traits_that_count_the_touchpoint() -> None:
    world = World(look=look(computed("x", "count")))
    world.take(bought(1, 3), bought(2, 2))
    world.take(bought(3, 1))
    assert [one.get("changed") for one in world.updates()] == [
        None,
        {"computed.x": 1},
        {"computed.x": 2},
    ]


def test_very_long_values_are_not_told() -> None:
    world = World()
    names = [f"trait_{number}" for number in range(40)]
    world.take(said(1, **dict.fromkeys(names, "x" * 1_500)))
    world.take(said(2, **dict.fromkeys(names, "y")))
    assert "changed" not in world.updates()[1]


def test_batches_do_not_matter() -> None:
    bodies = [said(number, tier=number % 3) for number in range(20)]
    at_once, one_by_one = World(), World()
    at_once.take(*bodies)
    one_by_one.take_in_batches(bodies, 1)
    assert at_once.messages == one_by_one.messages
