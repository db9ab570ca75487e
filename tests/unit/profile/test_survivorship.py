"""Which value of a trait survives, and how a profile explains it."""

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.profile import golden, trait_provenance
from services.profile.domain.survivorship import (
    MAX_TRAITS,
    RECTIFICATION,
    Observations,
    Saying,
    TraitPolicy,
    corrected,
    observe,
)
from tests.unit.profile.world import World, touchpoint

USER = ("user_id", "u")
POLICY = TraitPolicy(source_priority={"crm": 1}, verified_sources=frozenset({"desk"}))


def says(number: int, value: object, source: str = "shop", **more: object) -> dict[str, object]:
    return touchpoint(number, USER, source=source, traits={"first_name": value}, **more)


def shown(world: World) -> dict[str, object]:
    (person,) = world.active()
    return golden(person, world.rules.identity, world.rules.traits).traits


def test_the_most_recent_value_survives_whatever_came_last() -> None:
    world = World()
    world.take(says(5, "Ada"), says(3, "Adele"))
    assert shown(world) == {"first_name": "Ada"}


@pytest.mark.parametrize(
    ("stronger", "rule"), [("desk", "verified"), ("crm", "source_priority"), ("shop", "tie_break")]
)
def test_trust_comes_before_time(stronger: str, rule: str) -> None:
    world = World(Rules(traits=POLICY))
    world.take(says(1, "Ada", stronger), says(9 if stronger != "shop" else 1, "Eve", "blog"))
    assert shown(world) == {"first_name": "Ada"}
    (person,) = world.active()
    why = trait_provenance(person.state, POLICY)["first_name"]
    assert (why.value, why.source, why.rule) == ("Ada", stronger, rule)
    assert [(one.value, one.source) for one in why.runners_up] == [("Eve", "blog")]


def test_provenance_spans_the_anchors_of_a_merged_profile() -> None:
    world = World()
    phone = ("phone", "+33612345678")
    world.take(touchpoint(1, phone, source="calls", traits={"city": "Lyon"}))
    world.take(touchpoint(2, USER, source="shop", traits={"city": "Paris"}))
    world.take(touchpoint(3, USER, phone))
    (person,) = world.active()
    why = trait_provenance(person.state, TraitPolicy())["city"]
    assert (why.value, why.rule, why.runners_up[0].value) == ("Paris", "most_recent", "Lyon")


def test_null_removes_a_trait_and_an_empty_text_does_not() -> None:
    world = World()
    world.take(touchpoint(1, USER, traits={"first_name": "Ada", "city": "Paris"}))
    world.take(touchpoint(2, USER, traits={"first_name": None, "city": ""}))
    assert shown(world) == {"city": ""}
    world.take(touchpoint(0, USER, traits={"first_name": "Older"}))
    assert shown(world) == {"city": ""}
    world.take(touchpoint(3, USER, traits={"first_name": "Ada"}))
    assert shown(world) == {"city": "", "first_name": "Ada"}


def test_a_value_of_any_shape_survives_as_it_is() -> None:
    world = World()
    value = {"b": [1, 2.5, None, "é"], "a": True}
    world.take(touchpoint(1, USER, traits={"size": value}))
    assert shown(world) == {"size": value}


def test_too_large_values_and_names_are_left_out() -> None:
    world = World()
    traits = {"long": "x" * 3000, "n" * 200: 1, "first_name": "Ada"}
    result = world.take(touchpoint(1, USER, traits=traits))
    assert shown(world) == {"first_name": "Ada"}
    assert result.outcomes["trait_dropped"] == 2


def test_the_first_traits_by_name_are_kept_in_whatever_order_they_come() -> None:
    names = [f"t{n:04d}" for n in range(MAX_TRAITS + 50)]
    forth, back = World(), World()
    forth.take(*(touchpoint(n, USER, traits={name: 1}) for n, name in enumerate(names)))
    numbered = list(enumerate(names))
    back.take(*(touchpoint(n, USER, traits={name: 1}) for n, name in reversed(numbered)))
    assert list(shown(forth)) == list(shown(back)) == names[:MAX_TRAITS]
    assert forth.updates()[-1]["profile"]["traits"] == back.updates()[-1]["profile"]["traits"]


def test_a_correction_finds_room_where_there_are_too_many_traits() -> None:
    names = [f"t{n:04d}" for n in range(MAX_TRAITS)]
    heard: Observations = []
    observe(heard, Saying("shop", "2026-01-01", "a", False, dict.fromkeys(names, b"1")))
    observe(heard, Saying(RECTIFICATION, "2026-01-02", "b", True, {"zip": b"2"}))
    observe(heard, Saying("shop", "2026-01-03", "c", False, {"t00000": b"3"}))
    kept = {name for said in heard for name in said.values}
    assert kept == {"zip", "t00000", *names[: MAX_TRAITS - 2]}
    assert corrected([heard])["zip"].value == b"2"


def test_the_zone_of_the_device_stands_in_for_a_missing_trait() -> None:
    world = World()
    world.take(touchpoint(1, USER, context={"timezone": "Europe/Paris"}))
    assert world.updates()[-1]["profile"]["timezone"] == "Europe/Paris"
    assert world.updates()[-1]["profile"]["traits"] == {}
    world.take(touchpoint(2, USER, traits={"timezone": "Asia/Tokyo"}))
    world.take(touchpoint(3, USER, context={"timezone": "Europe/Rome"}))
    world.take(touchpoint(4, USER, context={"timezone": 7}), touchpoint(5, USER, context={"a": 1}))
    assert world.updates()[-1]["profile"]["timezone"] == "Asia/Tokyo"
