"""Every known way in which identity goes wrong: docs/identity.md says which test is for which."""

from itertools import permutations
from typing import Any

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentifierType, IdentityRules
from services.profile.domain.profile import Marks
from shared.contracts.identifier_form import form_of, plain
from tests.unit.profile.world import World, touchpoint

ALICE, BOB = ("user_id", "alice"), ("user_id", "bob")
PHONE = ("device_id", "idfv-1")


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
        assert len(set(world.owners_of(*(("user_id", f"u{n}") for n in range(values))))) == values
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


def test_a_trunk_number_unites_none_of_those_who_call_by_it() -> None:
    """The call centre's own line stands where the customer's number belongs."""
    world = World()
    trunk = ("phone", "+33155550000")
    for number in range(4):
        world.take(touchpoint(number, ("user_id", f"u{number}"), trunk))
    assert len(world.active()) == 4
    assert "phone\0+33155550000" in world.live.shared
    for number in range(4):
        world.take(touchpoint(10 + number, ("loyalty_id", f"card-{number}"), trunk))
    assert len(world.active()) == 8
    world.take(touchpoint(20, trunk))
    assert len(world.active()) == 9
    assert world.touchpoints_of("shared:phone", trunk[1]) == 1


def test_a_family_e_mail_is_the_first_ones_until_it_is_clearly_everybodys() -> None:
    """Two with an account: the mailbox stays where it is. A third: it unites nobody any more."""
    world = World()
    mail = ("email", "the.family@x.y")
    card = ("loyalty_id", "grandmother")
    world.take(touchpoint(1, ALICE, mail), touchpoint(2, BOB, mail), touchpoint(3, mail))
    assert world.owner(*mail) == world.owner(*ALICE) != world.owner(*BOB)
    assert (world.touchpoints_of(*ALICE), world.touchpoints_of(*BOB)) == (2, 1)
    world.take(touchpoint(4, ("user_id", "carol"), mail), touchpoint(5, card, mail))
    assert len(world.active()) == 4
    assert len(world.owners_of(card)) == 1
    world.take(touchpoint(6, mail))
    assert world.touchpoints_of(*ALICE) == 2
    assert world.touchpoints_of("shared:email", mail[1]) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada@Example.COM ", "ada@example.com", True),
        ("ada.l@example.com", "adal@example.com", False),
        ("ada+shop@example.com", "ada@example.com", False),
        ("ada@example.com", "ada@example.org", False),
    ],
)
def test_an_e_mail_is_the_same_in_any_case_and_never_without_its_dots_and_tags(
    one: str, other: str, same: bool
) -> None:
    """As ingest writes them: at many providers dots and tags are other mailboxes."""
    world = World()
    for number, written in enumerate((one, other)):
        value = form_of("email", plain(written))
        assert value is not None
        world.take(touchpoint(number, ("email", value)))
    assert len(world.active()) == (1 if same else 2)


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
    assert world.touchpoints_of(*ALICE) == 2


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
    assert world.touchpoints_of("user_id", "u") == 10_000


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_chain_makes_one_person_in_every_order(order: tuple[int, ...]) -> None:
    a, b, c = ("anonymous_id", "a"), ("email", "b@x.y"), ("phone", "+33612345678")
    links = [touchpoint(1, a, b), touchpoint(2, b, c), touchpoint(3, a), touchpoint(4, c)]
    world = World()
    world.take(*(links[place] for place in order))
    assert len(world.active()) == 1
    assert world.touchpoints_of(*a) == 4


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


def test_a_merge_that_was_undone_is_not_made_again_by_the_event_that_made_it() -> None:
    """The very event again (a redelivery), and its body under another id (a replayed history)."""
    browser, mail = ("anonymous_id", "a"), ("email", "e@x.y")
    culprit = touchpoint(3, mail, browser)
    world = World()
    world.take(touchpoint(1, browser), touchpoint(2, mail), culprit)
    (merge,) = world.merges
    world.undo(merge)
    before = dict(world.rows)
    assert not world.take(culprit).merges
    assert world.rows == before
    for number in (4, 5):
        result = world.take({**culprit, "id": touchpoint(number)["id"]})
        assert not result.merges
        assert result.outcomes["refused_cannot_link"] == 1
    assert world.owner(*mail) == merge.loser
    assert world.owner(*browser) == merge.winner


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
