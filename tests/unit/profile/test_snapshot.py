"""The messages on `profile.updates`: canonical bytes, contiguous numbers, bounded size."""

import msgspec
import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import ConsentChange, Consents, Status, apply_changes
from services.profile.domain.profile import StoredProfile, encode_state
from services.profile.domain.snapshot import cut, update
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.profile_update import (
    snapshot_decoder,
    update_decoder,
)
from tests.unit.profile.world import World, arrival, order, touchpoint

USER, MAIL, BROWSER = ("user_id", "u"), ("email", "e@x.y"), ("anonymous_id", "a")


def story() -> list[dict[str, object]]:
    """A customer in a few touchpoints, with a merge in the middle."""
    return [
        touchpoint(1, BROWSER, context={"timezone": "Europe/Paris"}),
        touchpoint(2, MAIL, traits={"first_name": "Ada"}),
        order(3, MAIL, total=12.5, currency="EUR"),
        touchpoint(4, BROWSER, MAIL, traits={"city": 'a "quoted" – name'}),
        order(5, USER, MAIL, total="7.25", currency="USD"),
        touchpoint(6, ("user_id", "v"), MAIL),
        touchpoint(7, USER, BROWSER, ("device_id", "d"), traits={"first_name": None}),
        touchpoint(8, ("device_id", "d2"), BROWSER),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_batches_of_any_size_give_the_same_bytes(size: int) -> None:
    whole, parts = World(), World()
    whole.take(*story())
    parts.take_in_batches(story(), size)
    assert parts.messages == whole.messages
    assert parts.rows == whole.rows


def test_every_message_is_a_valid_update_with_the_next_number() -> None:
    world = World()
    world.take(*story())
    last: dict[str, int] = {}
    for key, message in world.messages:
        found = update_decoder.decode(message)
        assert msgspec.json.decode(found.cause)["kind"]
        profile = snapshot_decoder.decode(found.profile)
        assert found.profile_id == profile.id == key
        assert found.seq == last.get(key, 0) + 1
        last[key] = found.seq
        plain = msgspec.json.decode(found.profile)
        assert msgspec.json.encode(plain, order="deterministic") == bytes(found.profile)


def test_the_cause_is_the_touchpoint_byte_for_byte() -> None:
    world = World()
    body = touchpoint(1, USER, unknown_field={"kept": [1.50, "é"]})
    world.take(body)
    cause = update_decoder.decode(world.messages[0][1]).cause
    assert bytes(cause) == arrival(body, Rules()).body


def test_identifiers_are_listed_strongest_type_first_and_within_it_the_latest() -> None:
    world = World()
    other = ("email", "a@x.y")
    world.take(touchpoint(1, USER, other), touchpoint(2, USER, MAIL), touchpoint(3, BROWSER, USER))
    assert _listed(world) == [USER, MAIL, other, BROWSER]
    world.take(touchpoint(4, other))
    assert _listed(world) == [USER, other, MAIL, BROWSER]


def test_a_snapshot_holds_a_hundred_identifiers_at_most() -> None:
    world = World()
    for number in range(100):
        world.take(touchpoint(number, USER, ("device_id", f"d{number:03d}")))
    snapshot = world.updates()[-1]["profile"]
    assert snapshot["identifiers_total"] == 101
    assert len(snapshot["identifiers"]) == 100
    assert snapshot["identifiers"][1]["value"] == "d099"


def test_an_over_large_cause_loses_its_properties_and_says_so() -> None:
    world = World()
    world.take(touchpoint(1, USER, properties={"blob": "x" * 800_000}))
    found = world.updates()[-1]
    assert found["cause"]["properties"] == {}
    assert found["cause"]["properties_truncated"] is True
    assert found["cause"]["type"] == "Product Viewed"
    assert "context_truncated" not in found["cause"]
    assert len(world.messages[-1][1]) < 10_000


def test_more_is_cut_where_properties_are_not_enough() -> None:
    big = {"blob": "x" * 1000}
    body = touchpoint(1, *(("device_id", f"d{n}" * 20) for n in range(50)), context=big, traits=big)
    found = msgspec.json.decode(cut(msgspec.json.encode(body), 500))
    assert (found["context"], found["traits"], found["identifiers"]) == ({}, {}, [])
    assert found["id"] == body["id"]


def test_consents_are_in_the_snapshot_and_a_denial_survives_a_merge() -> None:
    world = World()
    world.take(touchpoint(1, BROWSER), touchpoint(2, MAIL))
    _consent(world, world.owner(*BROWSER), "granted", "2026-11-22T00:00:00.000Z")
    _consent(world, world.owner(*MAIL), "denied", "2026-11-21T00:00:00.000Z")
    world.take(touchpoint(3, MAIL, BROWSER))
    (consent,) = world.updates()[-1]["profile"]["consents"]
    assert (consent["purpose"], consent["status"]) == ("marketing", "denied")


def test_consents_that_say_nothing_new_are_no_change() -> None:
    held: Consents = {}
    change = ConsentChange("marketing", "email", "granted", "consent")
    assert apply_changes(held, [change], "2026-11-22T00:00:00.000Z") == [change]
    assert apply_changes(held, [change], "2026-11-23T00:00:00.000Z") == []


def test_the_loser_of_a_merge_is_linked_from_both_sides() -> None:
    profile = WorkingProfile(_one(), Rules().traits)
    plain = msgspec.json.decode(update(profile, b"{}", Rules().identity, merged_from="x"))
    assert (plain["merged_from"], plain["seq"]) == ("x", 1)


def _one() -> StoredProfile:
    world = World()
    world.take(touchpoint(1, USER))
    return world.active()[0]


def _consent(world: World, profile_id: str, status: Status, at: str) -> None:
    stored = world.profile(profile_id)
    change = ConsentChange("marketing", "email", status)
    apply_changes(stored.state.consents, [change], at)
    row = world.rows[profile_id]
    world.rows[profile_id] = (*row[:4], encode_state(stored.state))


def _listed(world: World) -> list[tuple[str, str]]:
    identifiers = world.updates()[-1]["profile"]["identifiers"]
    return [(one["type"], one["value"]) for one in identifiers]
