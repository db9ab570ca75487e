"""Who is who: limits, vetoes, blocked values, survivors, and what a merge leaves behind."""

from datetime import timedelta

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import (
    IdentifierType,
    IdentityRules,
    is_blocked,
    usable,
)
from shared.contracts.touchpoint import Identifier
from tests.unit.profile.world import World, touchpoint

NOBODY = ("", "  ", "0", "0000000000", "----", "-1", "null", "NULL", "None", "NaN", "anonymous")
ALSO_NOBODY = ("Guest", "undefined", "[object Object]", '"undefined"', "'null'", "true", "id")
UNFIT = ("not_authenticated", "email", "x" * 513, "a\0b")
SOMEBODY = ("u1", "ada@example.com", "0a", "+33612345678", "guest-17", "abc123")


@pytest.mark.parametrize("value", [*NOBODY, *ALSO_NOBODY, *UNFIT])
def test_values_that_name_nobody_are_blocked(value: str) -> None:
    assert is_blocked(value)


@pytest.mark.parametrize("value", SOMEBODY)
def test_values_that_name_somebody_are_not(value: str) -> None:
    assert not is_blocked(value)


def test_usable_identifiers_come_strongest_first_without_doubles() -> None:
    named = [
        Identifier("anonymous_id", "a"),
        Identifier("email", "e@x.y"),
        Identifier("user_id", "u"),
        Identifier("email", "e@x.y"),
        Identifier("phone", "0000"),
    ]
    found = usable(named, IdentityRules())
    assert found.keys == ["user_id\0u", "email\0e@x.y", "anonymous_id\0a"]
    assert found.blocked == 1


def test_a_veto_demotes_the_weakest_identifier_of_the_touchpoint() -> None:
    # Segment's published vector: the e-mail is set aside and abc456 becomes a person of its own.
    world = World()
    mail = ("email", "jane@example1.com")
    world.take(touchpoint(1, ("user_id", "abc123"), mail))
    result = world.take(touchpoint(2, ("user_id", "abc456"), mail))
    assert world.owner("user_id", "abc456") != world.owner("user_id", "abc123")
    assert world.owner(*mail) == world.owner("user_id", "abc123")
    assert result.outcomes == {"demoted": 1, "refused_veto": 1, "created": 1}
    assert result.shared == []


def test_a_browser_that_was_not_reset_does_not_unite_its_two_users() -> None:
    world = World()
    browser = ("anonymous_id", "b")
    world.take(touchpoint(1, browser), touchpoint(2, browser, ("user_id", "u1")))
    world.take(touchpoint(3, browser, ("user_id", "u2")), touchpoint(4, browser))
    assert world.owner(*browser) == world.owner("user_id", "u1")
    assert world.owner("user_id", "u2") != world.owner("user_id", "u1")
    # Two people use it, so what it does without a name is neither's.
    assert world.profile(world.owner("user_id", "u1")).seq == 2
    assert world.owner("shared:anonymous_id", "b") not in {
        world.owner("user_id", "u1"),
        world.owner("user_id", "u2"),
    }


def test_two_user_ids_in_one_touchpoint_are_never_one_profile() -> None:
    world = World()
    world.take(touchpoint(1, ("user_id", "u1"), ("user_id", "u2")))
    assert list(world.owners) == ["user_id\0u1"]


def test_a_limit_for_ever_holds() -> None:
    world = World()
    for number in range(7):
        world.take(touchpoint(number, ("user_id", "u"), ("email", f"e{number}@x.y")))
    mails = [key for key in world.owners if key.startswith("email")]
    assert len(mails) == 5
    assert len(world.active()) == 1


def test_a_limit_in_a_window_forgets_what_is_far_away() -> None:
    days = [f"2026-{month:02d}-01T10:00:00.000Z" for month in range(1, 8)]
    type_ = IdentifierType("anonymous_id", priority=100, limit=2, within=timedelta(days=30))
    types = {**IdentityRules().types, "anonymous_id": type_}
    world = World(Rules(identity=IdentityRules(types=types)))
    for number, day in enumerate(days):
        world.take(
            touchpoint(number, ("user_id", "u"), ("anonymous_id", f"a{number}"), occurred_at=day)
        )
    crowd = [touchpoint(90 + n, ("user_id", "u"), ("anonymous_id", f"x{n}")) for n in range(4)]
    world.take(*crowd)
    kept = [key for key in world.owners if key.startswith("anonymous_id")]
    assert len(kept) == 7 + 2


def test_the_survivor_is_the_oldest_profile_and_gets_everything() -> None:
    world = World()
    world.take(touchpoint(1, ("anonymous_id", "a")), touchpoint(2, ("email", "e@x.y")))
    old, young = world.owner("anonymous_id", "a"), world.owner("email", "e@x.y")
    result = world.take(touchpoint(3, ("email", "e@x.y"), ("anonymous_id", "a")))
    assert old < young
    assert set(world.owners.values()) == {old}
    winner, loser = world.profile(old), world.profile(young)
    assert (winner.status, winner.seq, winner.n_merges) == ("active", 3, 1)
    assert (loser.status, loser.merged_into, loser.seq) == ("merged", old, 2)
    assert not loser.state.held
    (merge,) = result.merges
    assert (merge.winner, merge.loser, merge.moved) == (old, young, ("email\0e@x.y",))


def test_a_merge_is_told_to_both_before_its_touchpoint() -> None:
    world = World()
    world.take(touchpoint(1, ("anonymous_id", "a")), touchpoint(2, ("email", "e@x.y")))
    world.take(touchpoint(3, ("email", "e@x.y"), ("anonymous_id", "a"), historical=True))
    to_winner, to_loser, last = world.updates()[-3:]
    assert to_winner["merged_from"] == to_loser["profile_id"]
    assert to_loser["merged_into"] == to_winner["profile_id"] == last["profile_id"]
    assert to_winner["cause"]["kind"] == to_loser["cause"]["kind"] == "merged"
    assert to_winner["cause"]["historical"] is True
    assert to_loser["profile"]["status"] == "merged"
    assert to_loser["profile"]["identifiers"] == []
    assert to_winner["profile"]["computed"]["touchpoints"] == 2
    assert last["profile"]["computed"]["touchpoints"] == 3
    assert [to_winner["seq"], last["seq"], to_loser["seq"]] == [2, 3, 2]


def test_a_profile_stops_merging_at_the_cap() -> None:
    world = World(Rules(identity=IdentityRules(max_merges=2)))
    world.take(*(touchpoint(n, ("anonymous_id", f"a{n}")) for n in range(5)))
    for number in range(1, 5):
        joint = touchpoint(10 + number, ("anonymous_id", "a0"), ("anonymous_id", f"a{number}"))
        world.take(joint)
    assert sum(one.n_merges for one in world.active()) == 2
    assert len(world.active()) == 3


def test_a_full_profile_resolves_later_identifiers_without_keeping_them() -> None:
    world = World(Rules(identity=IdentityRules(max_identifiers=3)))
    devices = [("device_id", f"d{n}") for n in range(5)]
    for number, device in enumerate(devices):
        world.take(touchpoint(number, ("user_id", "u"), device))
    assert len(world.owners) == 3
    person = world.profile(world.owner("user_id", "u"))
    assert person.seq == 5
    assert len(person.state.held) == 3


def test_the_hundred_strongest_identifiers_of_a_touchpoint_are_looked_at() -> None:
    crowd = [Identifier("device_id", f"d{n:04d}") for n in range(5000)]
    assert len(usable([*crowd, Identifier("user_id", "u")], IdentityRules()).keys) == 100


def test_a_profile_id_resolves_through_merges_and_changes_nobody() -> None:
    world = World()
    world.take(touchpoint(1, ("anonymous_id", "a")), touchpoint(2, ("email", "e@x.y")))
    young = world.owner("email", "e@x.y")
    world.take(touchpoint(3, ("email", "e@x.y"), ("anonymous_id", "a")))
    result = world.take(touchpoint(4, ("profile_id", young)))
    (person,) = world.active()
    assert (person.seq, len(person.state.held)) == (4, 2)
    assert result.anchors == {touchpoint(4)["id"]: "email\0e@x.y"}


def test_a_profile_id_gives_way_to_a_known_identifier() -> None:
    world = World()
    world.take(touchpoint(1, ("user_id", "u1")), touchpoint(2, ("user_id", "u2")))
    other = world.owner("user_id", "u2")
    world.take(touchpoint(3, ("user_id", "u1"), ("profile_id", other)))
    assert world.profile(other).seq == 1
    assert len(world.active()) == 2


def test_a_profile_id_takes_a_new_identifier_along_unless_that_breaks_a_rule() -> None:
    world = World()
    world.take(touchpoint(1, ("user_id", "u1")))
    person = world.owner("user_id", "u1")
    world.take(touchpoint(2, ("email", "e@x.y"), ("profile_id", person)))
    world.take(touchpoint(3, ("user_id", "u2"), ("profile_id", person)))
    assert world.owner("email", "e@x.y") == person
    assert world.owner("user_id", "u2") != person


@pytest.mark.parametrize("value", ["00000000-0000-7000-8000-000000000000", "no-uuid"])
def test_a_profile_id_that_never_was_names_nobody(value: str) -> None:
    world = World()
    result = world.take(touchpoint(1, ("profile_id", value)))
    assert result.outcomes["no_identity"] == 1
    assert not world.rows
    assert not world.messages


def test_a_touchpoint_that_names_nobody_sends_no_message() -> None:
    world = World()
    result = world.take(touchpoint(1, ("user_id", "anonymous")))
    assert result.outcomes == {"blocked": 1, "no_identity": 1}
    assert not world.messages
