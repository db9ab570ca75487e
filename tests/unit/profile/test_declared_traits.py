"""Declared traits: which value survives by each policy, what does not fit, and how it is told."""

from typing import Any

import msgspec
import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import epoch_of, look_at_all
from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.definitions import InForce, Look
from services.profile.domain.divide import Division, divide
from services.profile.domain.history import Happened, forget, lacking, recount
from services.profile.domain.instants import instant_in
from services.profile.domain.profile import golden
from services.profile.domain.provenance import explained_traits
from services.profile.domain.segment import Segment
from services.profile.domain.trait import DeclaredTrait, Trait, TraitsInForce, parse_trait
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.parse import parse_condition
from shared.errors import Unprocessable
from tests.unit.profile.world import World, arrival, touchpoint

USER = ("user_id", "u")
NOW = instant_in("2026-11-21T12:00:00.000Z")


def trait(name: str, **fields: Any) -> Trait:
    return parse_trait({"name": name, **fields}, key="t")


def look(*definitions: Trait | Segment, epoch: int = 1, since: int = 1) -> Look:
    compiled = compile_definitions(
        epoch=epoch,
        floor=0,
        in_force=[InForce(one, since) for one in definitions],
        streams_since={},
    )
    return Look(compiled, NOW)


def says(number: int, value: object, source: str = "shop") -> dict[str, Any]:
    return touchpoint(number, USER, source=source, traits={"tier": value})


def shown(world: World) -> dict[str, Any]:
    (person,) = world.active()
    return golden(person, world.rules.identity, world.rules.traits).traits


def why(world: World, one: Trait) -> Any:
    (person,) = world.active()
    return explained_traits(person.state, world.rules.traits, TraitsInForce.of([one]))["tier"]


@pytest.mark.parametrize(
    ("fields", "survivor", "rule"),
    [
        ({"type": "integer"}, 2, "most_recent"),
        ({"type": "integer", "policy": "first"}, 7, "first"),
        ({"type": "integer", "policy": "highest"}, 9, "highest"),
        ({"type": "integer", "policy": "lowest"}, 1, "lowest"),
        ({"type": "integer", "policy": "most_frequent"}, 7, "most_frequent"),
        (
            {"type": "integer", "policy": "source_priority", "sources": ["desk", "till"]},
            1,
            "source_priority",
        ),
    ],
)
def test_each_policy_has_its_survivor(fields: dict[str, Any], survivor: int, rule: str) -> None:
    tier = trait("tier", **fields)
    said = [says(1, 7), says(2, 9, "till"), says(3, 1, "till"), says(4, 7, "app"), says(5, 2)]
    for order in (said, said[::-1]):
        world = World(look=look(tier))
        world.take_in_batches(order, 2)
        assert shown(world) == {"tier": survivor}
        found = why(world, tier)
        assert (found.value, found.rule) == (survivor, rule)
        assert survivor not in [one.value for one in found.runners_up]


def test_what_is_not_of_the_type_cannot_survive_and_is_shown_with_the_reason() -> None:
    tier = trait("tier", type="integer")
    world = World(look=look(tier))
    world.take(says(1, 3), says(2, "gold"), says(3, 2.5, "till"))
    assert shown(world) == {"tier": 3}
    assert world.updates()[-1]["profile"]["traits"] == {"tier": 3}
    found = why(world, tier)
    assert (found.value, found.rule) == (3, "only_value")
    assert [(one.value, one.refused) for one in found.runners_up] == [
        (2.5, "it is no whole number"),
        ("gold", "it is no whole number"),
    ]


def test_with_no_value_of_the_type_there_is_none_and_provenance_says_why() -> None:
    tier = trait("tier", type="date")
    world = World(look=look(tier))
    world.take(says(1, "1990-02-30"))
    assert shown(world) == {}
    found = why(world, tier)
    assert (found.value, found.source, found.rule) == (None, "shop", "none_fits")
    assert found.runners_up[0].refused.startswith("it is no date")
    world.take(says(2, "1990-02-28"))
    assert shown(world) == {"tier": "1990-02-28"}


@pytest.mark.parametrize(
    ("type_", "fits", "does_not"),
    [
        ("string", ["", "5"], [5, True, ["x"]]),
        ("integer", [5, "5", -3, 4.0], ["007", 1.5, True, "1e3", 10**30]),
        ("decimal", [5, "159.90", 1e3], ["1e3", "x", True]),
        ("boolean", [True, False], ["true", 1]),
        ("date", ["1990-12-31"], ["1990-12-31T00:00:00Z", "31.12.1990", 5]),
        ("time", ["2026-11-01T00:00:00+02:00"], ["2026-11-01", 5]),
        ("list", [[], [1]], ["x", {"a": 1}]),
    ],
)
def test_types(type_: str, fits: list[Any], does_not: list[Any]) -> None:
    for place, value in enumerate(fits + does_not):
        world = World(look=look(trait("tier", type=type_)))
        world.take(says(1, value))
        assert shown(world) == ({"tier": value} if place < len(fits) else {}), value


def test_a_removal_is_the_last_word_but_no_first_nor_highest_one() -> None:
    for policy, survivor in (("latest", {}), ("first", {"tier": 4}), ("highest", {"tier": 4})):
        world = World(look=look(trait("tier", type="integer", policy=policy)))
        world.take(says(1, 4), says(2, None))
        assert shown(world) == survivor


def test_a_tie_of_frequency_goes_to_the_last_one_said() -> None:
    world = World(look=look(trait("tier", type="string", policy="most_frequent")))
    world.take(says(1, "a"), says(2, "b"))
    assert shown(world) == {"tier": "b"}


def test_too_many_different_values_have_no_most_frequent_one_and_say_so() -> None:
    tier = trait("tier", type="integer", policy="most_frequent")
    world = World(look=look(tier))
    world.take(*(says(n, n) for n in range(501)))
    assert shown(world) == {}
    assert why(world, tier).rule == "too_many_values"


def test_merge_and_undo_give_each_side_its_own_value_at_once() -> None:
    tier = trait("tier", type="integer", policy="highest")
    world = World(look=look(tier))
    mail = ("email", "a@b.example")
    world.take(says(1, 3), touchpoint(2, mail, traits={"tier": 8}))
    world.take(touchpoint(3, USER, mail))
    assert shown(world) == {"tier": 8}
    assert world.updates()[-3]["profile"]["traits"] == {"tier": 8}
    merge = world.merges[0]
    winner, loser = (
        WorkingProfile(world.profile(one), world.rules.traits)
        for one in (merge.winner, merge.loser)
    )
    loser.state.standing = None
    division = Division(
        source=winner.id, target=loser.id, keys=list(merge.moved), apart=[], cause=b"{}",
        at="2026-11-22T00:00:00.000Z",
    )  # fmt: skip
    told = divide(winner, loser, division, world.rules.identity, world.look)
    sides = [msgspec.json.decode(message)["profile"]["traits"] for _, message in told]
    assert sides == [{"tier": 3}, {"tier": 8}]


def test_a_segment_follows_the_surviving_value() -> None:
    condition = {"attr": "profile.tier", "op": "gte", "value": 5}
    world = World(
        look=look(
            trait("tier", type="integer", policy="highest"),
            Segment("gold", "gold", parse_condition(condition)),
        )
    )
    world.take(says(1, 7), says(2, 1), says(3, "x"))
    assert [one["profile"]["segments"] for one in world.updates()] == [["gold"]] * 4


def test_another_policy_stays_as_it_was_until_history_brought_it_and_then_is_told() -> None:
    said = [says(1, 7), says(2, 9), says(3, 1)]
    world = World(look=look(trait("tier", type="integer")))
    world.take(*said)
    assert shown(world) == {"tier": 1}
    later = look(trait("tier", type="integer", policy="highest"), epoch=2, since=2)
    world.look = later
    world.take(touchpoint(4, USER, traits={"city": "Lyon"}))
    assert shown(world) == {"city": "Lyon", "tier": 1}

    (person,) = world.active()
    profile = WorkingProfile(person, Rules().traits)
    lacks = lacking(later.definitions, epoch_of(profile, later.definitions))
    assert [one.trait.name for one in lacks.declared] == ["tier"]
    forget(profile, lacks, later.definitions)
    bodies = [msgspec.json.encode(one) for one in said]
    recount(profile, lacks, [("user_id\0u", Happened.read(one)) for one in bodies])
    changes = look_at_all(profile, later, at="2026-11-21T12:00:00.000Z")
    assert [(one.kind, one.traits) for one in changes] == [("trait_changed", {"tier": b"1"})]
    assert profile.survivors()["tier"] == b"9"


def test_a_declaration_that_is_archived_leaves_what_was_observed() -> None:
    world = World(look=look(trait("tier", type="integer", policy="highest")))
    world.take(says(1, 7), says(2, 1))
    world.look = look(epoch=2, since=2)
    world.take(touchpoint(3, USER))
    assert shown(world) == {"tier": 1}
    causes = [one["cause"] for one in world.updates()]
    told = [one for one in causes if one["kind"] == "trait_changed"]
    assert [(one["changed"], one["backfill"]) for one in told] == [({"tier": 7}, True)]


@pytest.mark.parametrize(
    ("document", "path", "rule"),
    [
        ({}, "type", "required"),
        ({"type": "int"}, "type", "choice"),
        ({"type": "string", "policy": "highest"}, "policy", "policy_type"),
        ({"type": "string", "policy": "source_priority"}, "sources", "required"),
        ({"type": "string", "sources": ["a"]}, "sources", "policy_type"),
        ({"type": "string", "name": "a.b"}, "name", "trait_name"),
        ({"type": "string", "pii": "P!"}, "pii", "pattern"),
        ({"type": "string", "polcy": "first"}, "polcy", "unknown_field"),
        ({"computed": {"event": "A", "aggregate": "sum"}}, "computed.of", "required"),
        ({"computed": {"event": "A", "aggregate": "count", "of": "event.x"}}, "computed.of",
         "aggregate"),
        ({"computed": {"event": "A", "aggregate": "days_since", "within": "P1D"}},
         "computed.within", "aggregate"),
        ({"computed": {"event": "A", "aggregate": "min", "of": "profile.x"}}, "computed.of",
         "event_where"),
        ({"name": "orders", "computed": {"event": "A", "aggregate": "count"}}, "name",
         "trait_name"),
        ({"computed": {"event": "A", "aggregate": "count", "where": {"segment": "x"}}},
         "computed.where.segment", "event_where"),
    ],
)  # fmt: skip
def test_mistakes_name_their_place(document: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        parse_trait(document, key="t")
    assert [(one.path, one.rule) for one in refused.value.problems] == [(path, rule)]


def test_what_is_left_out_is_the_latest_under_the_key() -> None:
    assert parse_trait({"type": "string"}, key="t") == DeclaredTrait("t", "t", "string")
    assert arrival(says(1, 1), Rules()).touchpoint.traits == {"tier": 1}


@pytest.mark.parametrize(
    "document",
    [
        {"name": "last_name", "type": "string", "pii": "none"},
        {"computed": {"event": "E", "aggregate": "last", "of": "event.email"}, "pii": "none"},
    ],
)
def test_nobody_unmasks_by_declaration(document: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as refused:
        parse_trait(document, key="x")
    assert [(one.path, one.rule) for one in refused.value.problems] == [("pii", "personal")]
