"""What other products publish about identity, and every known way in which it goes wrong."""

from itertools import permutations
from typing import Any

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentifierType, IdentityRules, is_blocked
from services.profile.domain.profile import Marks, computed
from services.profile.domain.sums import join
from tests.unit.profile.world import World, touchpoint

ALICE, BOB, CAROL = ("user_id", "alice"), ("user_id", "bob"), ("user_id", "carol")
PHONE = ("device_id", "idfv-1")


def owners(world: World, *identifiers: tuple[str, str]) -> list[str]:
    return [world.owner(*one) for one in identifiers]


def touchpoints_of(world: World, identifier: tuple[str, str]) -> int:
    held = world.profile(world.owner(*identifier)).state.held.values()
    return computed(join(one.sums for one in held if one.sums)).touchpoints


# --- Segment ---------------------------------------------------------------------------------


def test_segment_merge_protection() -> None:
    world = World()
    mail = ("email", "jane@example1.com")
    world.take(touchpoint(1, ("user_id", "abc123"), mail))
    world.take(touchpoint(2, ("user_id", "abc456"), mail))
    first, second, of_mail = owners(world, ("user_id", "abc123"), ("user_id", "abc456"), mail)
    assert first != second
    assert of_mail == first


def test_segment_an_anonymous_id_that_was_not_reset_does_not_merge_two_users() -> None:
    world = World()
    browser = ("anonymous_id", "not-reset")
    world.take(
        touchpoint(1, browser),
        touchpoint(2, ("user_id", "u1"), browser),
        touchpoint(3, ("user_id", "u2"), browser),
    )
    assert len(set(owners(world, ("user_id", "u1"), ("user_id", "u2")))) == 2
    assert world.owner(*browser) == world.owner("user_id", "u1")


def test_segment_reset_starts_a_new_anonymous_profile() -> None:
    # `reset()` at logout makes a new anonymousId: what comes with it is nobody's, until somebody
    # logs in, and then it is theirs.
    world = World()
    before, after = ("anonymous_id", "before"), ("anonymous_id", "after")
    world.take(touchpoint(1, before), touchpoint(2, ("user_id", "u1"), before))
    world.take(touchpoint(3, after), touchpoint(4, after))
    assert world.owner(*after) != world.owner("user_id", "u1")
    assert touchpoints_of(world, ("user_id", "u1")) == 2
    world.take(touchpoint(5, ("user_id", "u2"), after))
    assert world.owner(*after) == world.owner("user_id", "u2")
    assert touchpoints_of(world, ("user_id", "u2")) == 3


# --- Snowplow --------------------------------------------------------------------------------


def test_snowplow_bob_logs_in_on_alices_phone() -> None:
    world = World()
    world.take(touchpoint(1, PHONE), touchpoint(2, ALICE, PHONE), touchpoint(3, BOB, PHONE))
    world.take(touchpoint(4, PHONE), touchpoint(5, PHONE))
    alice, bob = owners(world, ALICE, BOB)
    stranger = world.owner("shared:device_id", PHONE[1])
    assert len({alice, bob, stranger}) == 3
    assert (touchpoints_of(world, ALICE), touchpoints_of(world, BOB)) == (2, 1)
    assert touchpoints_of(world, ("shared:device_id", PHONE[1])) == 2
    # And whoever logs in next does not inherit what strangers did.
    world.take(touchpoint(6, CAROL, PHONE), touchpoint(7, ALICE, PHONE))
    assert len(set(owners(world, ALICE, BOB, CAROL))) == 3
    assert touchpoints_of(world, ALICE) == 3
    assert touchpoints_of(world, ("shared:device_id", PHONE[1])) == 2


# --- PostHog ---------------------------------------------------------------------------------

ANY_CASE = ("anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email")
ALSO = ("undefined", "true", "false")
EXACT = ("[object Object]", "NaN", "None", "none", "null", "0")


@pytest.mark.parametrize("value", [*ANY_CASE, *ALSO, *EXACT, "", " ", "\t"])
def test_posthog_illegal_ids(value: str) -> None:
    for written in (value, value.upper() if value in ANY_CASE else value):
        for quoted in (written, f"'{written}'", f'"{written}"', f" {written} "):
            assert is_blocked(quoted), quoted


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("known_first", ["user", "visitor"])
def test_posthog_alias_in_both_directions(turned: bool, known_first: str) -> None:
    user, visitor = ("user_id", "u"), ("anonymous_id", "v")
    known = [user, visitor] if known_first == "user" else [visitor, user]
    alias = [visitor, user] if turned else [user, visitor]
    world = World()
    world.take(*(touchpoint(n, one) for n, one in enumerate(known)), touchpoint(7, *alias))
    assert world.owner(*user) == world.owner(*visitor)
    assert touchpoints_of(world, user) == 3


def test_posthog_two_identified_people_are_never_aliased() -> None:
    world = World()
    world.take(touchpoint(1, ALICE), touchpoint(2, BOB))
    for number, pair in enumerate(((ALICE, BOB), (BOB, ALICE)), 3):
        world.take(touchpoint(number, *pair))
    assert len(set(owners(world, ALICE, BOB))) == 2


# --- Failure modes ---------------------------------------------------------------------------


def kiosk(values: int, type_: str = "device_id") -> World:
    """So many people log in with the same second identifier, and then it is seen alone."""
    world = World()
    shared = (type_, "everybody's")
    for number in range(values):
        world.take(touchpoint(number, ("user_id", f"u{number}"), shared))
    world.take(touchpoint(1000, shared))
    return world


@pytest.mark.parametrize(
    ("type_", "until"),
    [("device_id", 2), ("anonymous_id", 2), ("email", 3), ("phone", 3), ("new_type", 3)],
)
def test_what_many_people_use_is_shared_and_unites_nobody(type_: str, until: int) -> None:
    for values in range(1, 6):
        world = kiosk(values, type_)
        assert len(set(owners(world, *(("user_id", f"u{n}") for n in range(values))))) == values
        stands_in = f"shared:{type_}\0everybody's" in world.owners
        assert stands_in == (values >= until), values
        holder = world.profile(world.owner(type_, "everybody's"))
        marks = holder.state.held[f"{type_}\0everybody's"].marks or Marks()
        assert marks.shared == (values >= until)


def test_a_shared_identifier_beside_ones_own_is_set_aside_and_nobody_is_asked() -> None:
    world = kiosk(3)
    shared, own = ("device_id", "everybody's"), ("email", "new@example.com")
    result = world.take(touchpoint(2000, own, shared))
    assert world.owner(*own) not in {world.owner(*shared), world.owner("user_id", "u0")}
    assert result.outcomes["refused_shared"] == 1
    assert result.notes[0].shared == [1]


def test_a_publisher_cannot_speak_of_our_stand_ins() -> None:
    world = kiosk(2)
    result = world.take(touchpoint(2000, ("shared:device_id", "everybody's"), ("email", "a@b.c")))
    assert world.owner("email", "a@b.c") != world.owner("shared:device_id", "everybody's")
    assert result.outcomes["blocked"] == 1


@pytest.mark.parametrize(
    "value", ["0000000000", "000-0000000", "n/a", "test@test.com", "noreply@shop.example"]
)
def test_default_values_name_nobody(value: str) -> None:
    world = World()
    for number in range(6):
        world.take(touchpoint(number, ("phone", value), ("loyalty_id", f"card-{number}")))
    assert len(world.active()) == 6


def test_a_recycled_phone_number_stays_where_it_is_until_it_is_clearly_many_peoples() -> None:
    world = World()
    number = ("phone", "+33612345678")
    world.take(touchpoint(1, ALICE, number), touchpoint(2, BOB, number), touchpoint(3, number))
    assert world.owner(*number) == world.owner(*ALICE) != world.owner(*BOB)
    assert touchpoints_of(world, ALICE) == 2


def test_a_hard_coded_user_id_takes_a_hundred_devices_in_a_month_and_no_more() -> None:
    world = World()
    user = ("user_id", "hard-coded")
    devices = [("anonymous_id", f"a{n:03d}") for n in range(150)]
    for number, device in enumerate(devices):
        world.take(touchpoint(number, device), touchpoint(500 + number, user, device))
    person = world.profile(world.owner(*user))
    assert len(person.state.held) == 101
    assert len({world.owner(*device) for device in devices}) == 51


def test_a_super_node_keeps_a_thousand_identifiers_and_every_fact() -> None:
    rules = Rules(
        identity=IdentityRules(types={"user_id": IdentifierType("user_id", 1, 1, veto=True)}
                               | {"tab": IdentifierType("tab", limit=100_000)})
    )  # fmt: skip
    world = World(rules)
    world.take(*(touchpoint(n, ("user_id", "u"), ("tab", f"t{n}")) for n in range(10_000)))
    person = world.profile(world.owner("user_id", "u"))
    assert len(person.state.held) == 1000
    assert touchpoints_of(world, ("user_id", "u")) == 10_000


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_chain_makes_one_person_in_every_order(order: tuple[int, ...]) -> None:
    a, b, c = ("anonymous_id", "a"), ("email", "b@x.y"), ("phone", "+33612345678")
    links = [touchpoint(1, a, b), touchpoint(2, b, c), touchpoint(3, a), touchpoint(4, c)]
    world = World()
    world.take(*(links[place] for place in order))
    assert len(world.active()) == 1
    assert touchpoints_of(world, a) == 4


def test_an_alias_cycle_ends_and_no_profile_leads_to_itself() -> None:
    ids = [("loyalty_id", name) for name in "abcd"]
    world = World()
    world.take(*(touchpoint(n, one) for n, one in enumerate(ids)))
    world.take(*(touchpoint(10 + n, one, ids[(n + 1) % 4]) for n, one in enumerate(ids)))
    (person,) = world.active()
    assert {world.live.current(id_) for id_ in world.rows} == {person.id}


def test_an_identifier_that_is_first_seen_in_a_late_event_counts_in_its_own_time() -> None:
    type_ = IdentifierType("device_id", 100, limit=1, role="device")
    rules = Rules(identity=IdentityRules(types=dict(IdentityRules().types) | {"device_id": type_}))
    world = World(rules)
    late = "2020-01-01T00:00:00.000Z"
    world.take(touchpoint(1, ALICE, ("device_id", "new")))
    world.take(touchpoint(2, ALICE, ("device_id", "old"), occurred_at=late))
    assert "device_id\0old" not in world.owners
    world = World()
    world.take(touchpoint(1, ALICE), touchpoint(2, ALICE, PHONE, occurred_at=late))
    held = world.profile(world.owner(*PHONE)).state.held["device_id\0idfv-1"]
    assert (held.first_seen_at, held.last_seen_at) == (late, late)


@pytest.mark.parametrize("role", ["household", "account"])
def test_a_household_or_an_account_links_people_and_never_merges_them(role: Any) -> None:
    types = dict(IdentityRules().types) | {"home": IdentifierType("home", role=role)}
    world = World(Rules(identity=IdentityRules(types=types)))
    home = ("home", "12 Main Street")
    world.take(touchpoint(1, ("email", "a@x.y"), home), touchpoint(2, ("email", "b@x.y"), home))
    alone = world.take(touchpoint(3, home))
    assert len(world.active()) == 2
    assert "home\0" + home[1] not in world.owners
    assert alone.outcomes["no_identity"] == 1
