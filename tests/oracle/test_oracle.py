"""The oracle itself: small cases worked out by hand, and every invariant shown to bite."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.oracle.actions import SimpleRule, action_id, cap_bounds, expected_actions
from tests.oracle.identity import resolve
from tests.oracle.invariants import (
    DeadLetter,
    LeaseState,
    Passed,
    Update,
    actions_equal,
    counts_equal,
    each_record_has_one_fate,
    fates,
    first_copies,
    kept_once,
    letters_passed,
    offsets_conserved,
    positions_advance,
    profiles_equal,
    raw_passed,
    updates_in_order,
)
from tests.oracle.profiles import expected_profiles
from tests.oracle.records import (
    Event,
    Identifier,
    NotCoveredError,
    Position,
    RawRecord,
    Refusal,
    read,
    touchpoint_id,
)

NOON = 1_795_000_000_000
ADA = Identifier("user_id", "ada")
BOB = Identifier("user_id", "bob")
MAIL = Identifier("email", "home@b.c")
DEVICE = Identifier("device_id", "d1")


def record(offset: int, value: Any, **headers: bytes) -> RawRecord:
    encoded = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return RawRecord(Position("channel.web", 0, offset), NOON, b"k", encoded, headers)


def native(offset: int, *identifiers: Identifier, **more: Any) -> RawRecord:
    body = {
        "id": f"m{offset}",
        "source": "shop",
        "type": "Page Viewed",
        "occurred_at": datetime.fromtimestamp(NOON / 1000 - 60 + offset, UTC).isoformat(),
        "identifiers": [{"type": one.type, "value": one.value} for one in identifiers],
    }
    return record(offset, {**body, **more})


def event(record_: RawRecord) -> Event:
    reading = read(record_)
    assert isinstance(reading, Event)
    return reading


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"no json",
        b'{"id": NaN}',
        b"[1]",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        {"id": "a\x00b", "source": "s", "type": "t", "occurred_at": "2026-01-01T00:00:00Z"},
        {"id": 7, "source": "s", "type": "t", "occurred_at": "2026-01-01T00:00:00Z"},
        {"id": "a", "source": "s", "type": "t", "occurred_at": "yesterday"},
        {"id": "a" * 300_000, "source": "s", "type": "t", "occurred_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_refuses_what_can_never_be_applied(value: Any) -> None:
    assert isinstance(read(record(0, value)), Refusal)


def test_reads_a_segment_call_with_its_promoted_identifiers() -> None:
    body = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m1",
        "userId": "ada",
        "timestamp": "2026-11-21T10:00:00Z",
        "context": {"traits": {"email": "Home@B.C "}},
    }
    headers = {"x-concert-dialect": b"segment", "x-concert-source": b"shop"}
    reading = event(record(0, body, **headers))
    assert reading.identifiers == (ADA, MAIL)
    assert reading.id == touchpoint_id("shop", "m1")


def test_one_event_links_two_profiles_whatever_the_order() -> None:
    records = [native(0, ADA), native(1, DEVICE), native(2, ADA, DEVICE)]
    for order in (records, records[::-1], [records[2], records[0], records[1]]):
        found = resolve(map(event, order))
        assert [person.identifiers for person in found.persons] == [{ADA, DEVICE}]
        assert len(found.persons[0].events) == 3


def test_two_users_never_share_a_profile() -> None:
    found = resolve(map(event, [native(0, ADA, MAIL), native(1, BOB, MAIL), native(2, BOB)]))
    assert [person.identifiers for person in found.persons] == [{ADA, MAIL}, {BOB}]
    assert found.contested == {MAIL: {ADA, BOB}}


def test_says_when_a_limit_is_hit_or_an_event_is_ambiguous() -> None:
    mails = [native(n, ADA, Identifier("email", f"{n}@b.c")) for n in range(6)]
    with pytest.raises(NotCoveredError):
        resolve(map(event, mails))
    with pytest.raises(NotCoveredError):
        resolve(map(event, [native(0, ADA, MAIL), native(1, BOB, MAIL), native(2, MAIL)]))


def test_sums_orders_exactly_and_keeps_the_latest_trait() -> None:
    order = {"type": "POS Order Completed", "properties": {"total": "0.10", "currency": "EUR"}}
    records = [native(n, ADA, traits={"city": f"c{n}"}, **order) for n in (3, 1, 2)]
    (profile,) = expected_profiles(resolve(map(event, records))).values()
    assert profile.orders == profile.touchpoints == 3
    assert profile.revenue == {"EUR": Decimal("0.30")}
    assert profile.traits == {"city": "c3"}
    assert profile.first_seen_at < profile.last_seen_at


def test_a_rule_fires_for_a_fresh_matching_event_of_a_person() -> None:
    rule = SimpleRule("r", "Cart", "total", "gte", 50)
    cart = {"type": "Cart"}
    records = [
        native(0, ADA, properties={"total": 50}, **cart),
        native(1, ADA, properties={"total": 49}, **cart),
        native(2, ADA, properties={}, **cart),
        native(3, ADA, properties={"total": 50}, historical=True, **cart),
        native(4, ADA, properties={"total": 50}, occurred_at="2020-01-01T00:00:00Z", type="Cart"),
        native(5, properties={"total": 50}, **cart),
    ]
    identities = resolve(map(event, records))
    assert expected_actions([rule], identities) == {action_id("r", touchpoint_id("shop", "m0"))}
    assert len(identities.nobody) == 1


def test_a_cap_is_exact_for_a_person_with_one_identifier() -> None:
    rule = SimpleRule("r", "Cart", "total", "gte", 0, cap=2)
    events = [event(native(n, ADA, type="Cart", properties={"total": 1})) for n in range(4)]
    (bounds,) = cap_bounds(rule, resolve(events))
    assert (bounds.least, bounds.most, len(bounds.allowed)) == (2, 2, 4)
    three = sorted(bounds.allowed)[:3]
    assert actions_equal([], three[:2], [bounds]) == []
    assert actions_equal([], three, [bounds])
    assert actions_equal([], three[:1], [bounds])


def test_each_record_has_one_fate_bites() -> None:
    bad = record(2, b"no json")
    found = fates([native(0, ADA), replace(native(0, ADA), position=native(1).position), bad])
    id_ = first_copies(found)[0].id
    first, second = native(0).position, native(1).position
    letter = DeadLetter(bad.position, b"k", b"no json")
    good = ([(id_, first)], [(id_, second)], [letter, letter])
    assert each_record_has_one_fate(found, *good) == []
    assert each_record_has_one_fate(found, good[0] * 2, good[1], good[2])
    assert each_record_has_one_fate(found, [], good[1], good[2])
    assert each_record_has_one_fate(found, good[0], [], good[2])
    assert each_record_has_one_fate(found, *good[:2], [])
    assert each_record_has_one_fate(found, *good[:2], [replace(letter, value=b"no  json")])
    assert each_record_has_one_fate(found, *good[:2], [letter, DeadLetter(first, b"k", b"")])
    assert each_record_has_one_fate(found, [("other", first)], good[1], good[2])
    stranger = DeadLetter(Position("channel.web", 0, 9), None, None)
    assert each_record_has_one_fate(found, *good[:2], [letter, stranger])


def test_kept_once_bites() -> None:
    letter = DeadLetter(Position("channel.web", 0, 3), b"k", b"no json")
    assert kept_once([letter, letter], [letter]) == []
    assert len(kept_once([letter], [])) == 1
    assert len(kept_once([letter], [letter, letter])) == 1
    assert len(kept_once([], [letter])) == 1
    assert len(kept_once([letter], [replace(letter, value=b"")])) == 1


def test_a_dead_letter_that_came_twice_passed_once() -> None:
    letters = [DeadLetter(Position("channel.web", 0, n), None, None) for n in (1, 2, 2)]
    assert letters_passed(letters, ["channel.web", "channel.app"]) == {
        "channel.web.dlq": Passed(2, 1, 0),
        "channel.app.dlq": Passed(0, 0, 0),
    }


def test_profiles_equal_bites() -> None:
    identities = resolve(map(event, [native(0, ADA, MAIL), native(1, BOB, MAIL)]))
    expected = expected_profiles(identities)
    ada, bob = expected.values()
    with_mail = replace(ada, identifiers=ada.identifiers | {MAIL})
    contested = identities.contested
    assert profiles_equal(expected, [with_mail, bob], contested) == []
    assert profiles_equal(expected, [ada, bob], contested)
    assert profiles_equal(expected, [with_mail], contested)
    assert profiles_equal(expected, [with_mail, bob, bob], contested)
    assert profiles_equal(expected, [replace(with_mail, touchpoints=2), bob], contested)
    stranger = replace(bob, identifiers=frozenset({Identifier("user_id", "eve")}))
    assert profiles_equal(expected, [with_mail, bob, stranger], contested)


def test_updates_in_order_bites() -> None:
    one, two, three = (Update("p", seq, b"%d" % seq) for seq in (1, 2, 3))
    assert updates_in_order([[one, two, one, two, three], []]) == []
    assert updates_in_order([[one, three]])
    assert updates_in_order([[two, one]])
    assert updates_in_order([[one, two, replace(one, value=b"x")]])
    assert updates_in_order([[one], [two]])


def test_actions_equal_bites() -> None:
    assert actions_equal(["a"], ["a", "a"]) == []
    assert actions_equal(["a"], [])
    assert actions_equal(["a"], ["a", "b"])


def test_positions_and_conservation_bite() -> None:
    state = LeaseState("profile", "touchpoints", 0, 0, 5, 3, 1, 1, 0)
    place = ("profile", "touchpoints", 0)
    assert positions_advance([state], {place: 5}) == []
    assert positions_advance([state, replace(state, next_offset=4)], {place: 4})
    assert positions_advance([state], {place: 6})
    assert offsets_conserved([state]) == []
    assert offsets_conserved([replace(state, applied=4)])
    assert offsets_conserved([replace(state, applied=2, gaps=1)])


def test_counts_equal_bites() -> None:
    found = fates([native(0, ADA), native(0, ADA), native(1, BOB), record(3, b"no json")])
    expected = raw_passed(found, ["channel.web", "channel.app"])
    assert expected == {"channel.web": Passed(3, 0, 1), "channel.app": Passed(0, 0, 0)}
    rows = [
        LeaseState("g", "channel.web", 0, 0, 3, applied=2, deduped=0, dead=1, gaps=0),
        LeaseState("g", "channel.web", 1, 0, 1, applied=1, deduped=0, dead=0, gaps=0),
    ]
    assert counts_equal(rows, expected) == []
    lost = replace(rows[0], applied=1, deduped=1)
    assert offsets_conserved([lost]) == []
    assert len(counts_equal([lost, rows[1]], expected)) == 1
    assert len(counts_equal(rows, {})) == 1
    assert len(counts_equal([], expected)) == 1
