"""Households and accounts link people: the last word holds, and nobody is ever merged by them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.groups import (
    MAX_ACCOUNTS,
    MAX_FACTS_BYTES,
    MAX_GROUP_TRAITS,
    MAX_KEPT,
    Group,
    GroupSaying,
    Links,
    accounts_of,
    facts_of_group,
    group_id,
    household_of,
    observe_group,
    say,
)
from services.profile.domain.identity import IdentifierType, IdentityRules
from services.profile.domain.profile import encode_state
from tests.unit.profile.world import World, touchpoint

ADA, BO = ("email", "ada@x.y"), ("email", "bo@x.y")
HOME, OTHER = ("household_id", "H1"), ("household_id", "H2")
HOME_ID, OTHER_ID = (group_id("household", f"household_id\0{value}") for value in ("H1", "H2"))
ACME = group_id("account", "group_id\0acme")


def household(world: World, one: tuple[str, str]) -> str | None:
    standing = world.profile(world.owner(*one)).state.standing
    return None if standing is None else standing.household


def accounts(world: World, one: tuple[str, str]) -> list[str]:
    standing = world.profile(world.owner(*one)).state.standing
    return [] if standing is None else standing.accounts


def kinds(world: World) -> list[str]:
    return [update["cause"]["kind"] for update in world.updates()]


def test_a_household_links_two_people_and_is_in_their_snapshots() -> None:
    world = World()
    world.take(touchpoint(1, ADA, HOME), touchpoint(2, BO, HOME))
    assert len(world.active()) == 2
    assert household(world, ADA) == household(world, BO) == HOME_ID
    assert [update["profile"]["household"] for update in world.updates()] == [HOME_ID] * 4
    assert kinds(world) == ["track", "household_changed"] * 2
    cause = world.updates()[1]["cause"]
    assert cause["household"] == HOME_ID
    assert cause["touchpoint_id"] == world.updates()[0]["cause"]["id"]
    assert "before" not in cause


def test_the_last_word_by_its_own_time_holds() -> None:
    world = World()
    world.take(touchpoint(5, ADA, OTHER), touchpoint(1, ADA, HOME))
    assert household(world, ADA) == OTHER_ID
    world.take(touchpoint(9, ADA, HOME))
    assert household(world, ADA) == HOME_ID
    assert world.updates()[-1]["cause"]["before"] == OTHER_ID


def test_the_same_household_again_is_no_change() -> None:
    world = World()
    world.take(*(touchpoint(number, ADA, HOME) for number in range(5)))
    assert kinds(world).count("household_changed") == 1


def test_of_two_households_in_one_event_the_stronger_type_counts() -> None:
    types = dict(IdentityRules().types)
    types["landline"] = IdentifierType("landline", priority=3, role="household")
    world = World(Rules(identity=IdentityRules(types=types)))
    world.take(touchpoint(1, ADA, HOME, ("landline", "+331")))
    assert household(world, ADA) == group_id("household", "landline\0+331")


def test_a_group_call_links_to_an_account_and_says_what_is_known_of_it() -> None:
    world = World()
    properties = {"group_id": "acme", "group_traits": {"plan": "gold", "seats": 5}}
    result = world.take(
        touchpoint(1, ADA, type="group", kind="group", properties=properties),
        touchpoint(2, BO, ("group_id", "acme")),
    )
    assert accounts(world, ADA) == accounts(world, BO) == [ACME]
    (call,) = result.calls
    assert call.group == Group("account", "group_id\0acme")
    assert {name: one.value for name, one in call.said.items()} == {
        "plan": b'"gold"',
        "seats": b"5",
    }
    last = world.updates()[-1]
    assert last["profile"]["accounts"] == [ACME]
    assert last["cause"]["kind"] == "account_changed"
    assert (last["cause"]["account"], last["cause"]["linked"]) == (ACME, True)


@pytest.mark.parametrize("named", ["household", "household_id"])
def test_a_group_call_may_be_about_a_household(named: str) -> None:
    world = World()
    properties = {"group_id": "H1", "group_type": named}
    world.take(touchpoint(1, ADA, type="group", kind="group", properties=properties))
    assert household(world, ADA) == HOME_ID


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"group_id": None},
        {"group_id": {"a": 1}},
        {"group_id": "none"},
        {"group_id": "x", "group_type": "email"},
        {"group_id": "x", "group_traits": 3},
    ],
)
def test_a_group_call_that_names_no_group_is_a_plain_touchpoint(properties: Any) -> None:
    world = World()
    result = world.take(touchpoint(1, ADA, type="group", kind="group", properties=properties))
    assert not result.calls
    assert kinds(world) == ["group"]


def test_a_group_call_without_a_person_still_speaks_of_the_group() -> None:
    world = World()
    properties = {"group_id": "acme", "group_traits": {"plan": "gold"}}
    result = world.take(touchpoint(1, type="group", kind="group", properties=properties))
    assert len(result.calls) == 1
    assert not world.active()


def test_merge_unites_and_undo_divides_what_people_belong_to() -> None:
    world = World()
    world.take(
        touchpoint(1, ADA, HOME, ("group_id", "acme")),
        touchpoint(2, ("user_id", "u"), OTHER),
    )
    before = {one: (household(world, one), accounts(world, one)) for one in (ADA, ("user_id", "u"))}
    world.take(touchpoint(3, ADA, ("user_id", "u")))
    assert len(world.active()) == 1
    assert household(world, ADA) == OTHER_ID
    assert accounts(world, ADA) == [ACME]
    world.undo(world.merges[0])
    after = {one: (household(world, one), accounts(world, one)) for one in before}
    assert after == before
    divided = world.updates()[-2:]
    assert {one["profile"]["household"] for one in divided} == {HOME_ID, OTHER_ID}


def test_a_shared_household_never_counts_against_an_identifier() -> None:
    world = World()
    for number in range(6):
        world.take(touchpoint(number, ("user_id", f"u{number}"), HOME, ("device_id", "tv")))
    alone = World()
    for number in range(6):
        alone.take(touchpoint(number, ("user_id", f"u{number}"), ("device_id", "tv")))
    assert world.owners == alone.owners
    assert world.live.shared == alone.live.shared == {"device_id\0tv"}
    assert all(household(world, ("user_id", f"u{number}")) == HOME_ID for number in range(6))


def test_a_removal_holds_until_something_later_is_said() -> None:
    links, home = Links(), Group("household", "household_id\0H1")
    at = [f"2026-01-0{day}T00:00:00.000Z" for day in range(1, 5)]
    assert say(links, home, at[0])
    assert say(links, home, at[2], linked=False)
    assert not say(links, home, at[1])
    assert household_of([links]) is None
    assert say(links, home, at[3])
    assert household_of([links]) == home


def test_the_latest_accounts_are_kept_whatever_came_first() -> None:
    words = [(Group("account", f"group_id\0{n:03}"), f"2026-01-01T00:00:{n % 60:02}.{n:03}Z")
             for n in range(MAX_KEPT + 30)]  # fmt: skip
    one, other = Links(), Links()
    for group, at in words:
        say(one, group, at)
    for group, at in reversed(words):
        say(other, group, at)
    assert one.accounts == other.accounts
    assert len(one.accounts) == MAX_KEPT
    latest = sorted(words, key=lambda word: word[1], reverse=True)[:MAX_ACCOUNTS]
    assert accounts_of([one]) == [group for group, _ in latest]


def test_the_traits_of_a_group_are_a_join_with_a_limit() -> None:
    said = [
        {f"t{n:02}": GroupSaying(f"2026-01-01T00:00:{n % 7:02}.000Z", f"m{n}", b"%d" % n)}
        for n in [*range(MAX_GROUP_TRAITS + 20), 3, 3, 5]
    ]
    one: dict[str, GroupSaying] = {}
    other: dict[str, GroupSaying] = {}
    for word in said:
        observe_group(one, word)
    for word in reversed(said):
        observe_group(other, word)
    assert one == other
    assert sorted(one) == [f"t{n:02}" for n in range(MAX_GROUP_TRAITS)]
    assert not observe_group(one, said[0])


def test_facts_of_a_group_are_bounded_and_have_their_own() -> None:
    traits = {f"t{n:02}": GroupSaying("2026", "m", b'"' + b"x" * 1990 + b'"') for n in range(10)}
    traits["size"] = GroupSaying("2026", "m", b"99")
    facts = msgspec.json.decode(facts_of_group("g", 3, traits))
    assert (facts["id"], facts["size"]) == ("g", 3)
    assert 3 <= len(facts) - 2 < 10
    assert len(facts_of_group("g", 3, traits)) < MAX_FACTS_BYTES + 200


def test_a_merge_brings_along_what_the_other_side_knew_of_its_group() -> None:
    world = World()
    world.take(touchpoint(1, ADA), touchpoint(2, BO, HOME))
    bo = world.profile(world.owner(*BO))
    facts = facts_of_group(HOME_ID, 2, {})
    assert bo.state.standing is not None
    bo.state.standing.group_facts = {"household": facts}
    world.rows[bo.id] = replace(world.rows[bo.id], state=encode_state(bo.state))
    world.take(touchpoint(3, ADA, BO))
    standing = world.profile(world.owner(*ADA)).state.standing
    assert standing is not None
    assert (standing.household, standing.group_facts) == (HOME_ID, {"household": facts})
    world.take(touchpoint(4, ADA, OTHER))
    standing = world.profile(world.owner(*ADA)).state.standing
    assert standing is not None
    assert (standing.household, standing.group_facts) == (OTHER_ID, {})
