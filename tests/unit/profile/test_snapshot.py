"""The messages on `profile.updates`: canonical bytes, contiguous numbers, bounded size."""

from dataclasses import replace

import msgspec
import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import ConsentRecord, Consents, Said
from services.profile.domain.consent_change import ConsentChange, apply_changes
from services.profile.domain.profile import StoredProfile, encode_state
from services.profile.domain.snapshot import Link, LinkName, cut, update
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.profile_update import (
    snapshot_decoder,
    update_decoder,
)
from shared.contracts.topics import max_message_bytes
from shared.kafka.messages import RECORD_OVERHEAD
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


def test_with_every_limit_at_its_maximum_each_message_still_fits_its_topic() -> None:
    """Control characters take six bytes each in JSON; each limit alone would let this pass."""
    world, wide = World(), "\x01"
    card = ("loyalty_id", "card")
    browsers = [("anonymous_id", f"{n:04d}" + wide * 505) for n in range(100)]
    number = 0
    for start in (0, 50):
        number += 1
        world.take(touchpoint(number, card, *browsers[start : start + 50]))
    for first in range(0, 200, 40):
        number += 1
        names = [f"{n:03d}" + wide * 124 for n in range(first, first + 40)]
        world.take(touchpoint(number, card, traits=dict.fromkeys(names, "v" * 2040)))
    for currency in range(3_000):
        number += 1
        code = "".join(chr(65 + currency // place % 26) for place in (676, 26, 1))
        world.take(order(number, card, total="999999999.99", currency=code))
    for other in range(4):
        number += 2
        world.take(touchpoint(number, ("email", f"{other}@x.y"), properties={"b": "x" * 200_000}))
        merging = touchpoint(
            number + 1, card, *browsers[:78], ("email", f"{other}@x.y"), context={"b": wide * 9_000}
        )
        world.take(merging)
    largest = max(len(message) for _, message in world.messages)
    assert largest < max_message_bytes("profile.updates") - RECORD_OVERHEAD
    last = world.updates()[-1]["profile"]
    assert last["traits_truncated"] is True
    assert last["identifiers_total"] > len(last["identifiers"]) > 20
    for _, message in world.messages[-8:]:
        snapshot_decoder.decode(update_decoder.decode(message).profile)


def test_denials_come_first_where_not_all_consents_fit() -> None:
    stored = _one()
    for number in range(1_000):
        status: Said = "denied" if number == 999 else "granted"
        record = ConsentRecord(status, "2026-11-21T10:00:00.000Z")
        stored.state.consents[f"purpose-{number:04d}{'x' * 500}\0email"] = record
    message = update(WorkingProfile(stored, Rules().traits), b"{}", Rules().identity)
    consents = msgspec.json.decode(message)["profile"]["consents"]
    assert consents[0]["purpose"].startswith("purpose-0999")
    assert 100 < len(consents) < 300


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
    (entry,) = apply_changes(held, [change], "2026-11-22T00:00:00.000Z", str)
    assert (entry.purpose, entry.status, entry.is_news) == ("marketing", "granted", True)
    assert apply_changes(held, [change], "2026-11-23T00:00:00.000Z", str) == []


def test_the_loser_of_a_merge_is_linked_from_both_sides() -> None:
    profile = WorkingProfile(_one(), Rules().traits)
    names: tuple[LinkName, ...] = ("merged_from", "merged_into", "split_from", "split_into")
    for name in names:
        link = Link(name, "x", 7)
        told = msgspec.json.decode(update(profile, b"{}", Rules().identity, link=link))
        assert (told[name], told["link_seq"], told["seq"]) == ("x", 7, 1)
        assert list(told) == sorted(told)


def _one() -> StoredProfile:
    world = World()
    world.take(touchpoint(1, USER))
    return world.active()[0]


def _consent(world: World, profile_id: str, status: Said, at: str) -> None:
    stored = world.profile(profile_id)
    change = ConsentChange("marketing", "email", status)
    apply_changes(stored.state.consents, [change], at, str)
    world.rows[profile_id] = replace(world.rows[profile_id], state=encode_state(stored.state))


def _listed(world: World) -> list[tuple[str, str]]:
    identifiers = world.updates()[-1]["profile"]["identifiers"]
    return [(one["type"], one["value"]) for one in identifiers]
