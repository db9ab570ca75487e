"""What a raw record shows before it is read, and what is remembered of what was just taken."""

import orjson
import pytest

from services.ingest.domain.glimpse import Glimpse, glimpse
from services.ingest.use_cases.recently_taken import RecentlyTaken
from shared.kafka.messages import Message

FROM_SHOP = (("x-concert-source", b"shop"),)
CLOUD = (("ce_id", b"c1"), ("ce_source", b"/tills/7"), ("ce_type", b"Sold"))


@pytest.mark.parametrize(
    ("value", "headers", "expected"),
    [
        (
            {"messageId": " m1 ", "event": "Seen", "type": "track"},
            FROM_SHOP,
            Glimpse("shop", "shop", "m1", "Seen"),
        ),
        (
            {"id": 7, "source": "till", "type": "Sold"},
            (),
            Glimpse("till", "till", "7", "Sold"),
        ),
        (
            {"id": "c1", "source": "/tills/7", "specversion": "1.0", "type": "Sold"},
            FROM_SHOP,
            Glimpse("shop", "/tills/7", "c1", "Sold"),
        ),
        ({}, (*FROM_SHOP, *CLOUD), Glimpse("shop", "/tills/7", "c1", "Sold")),
        ({}, CLOUD, Glimpse("/tills/7", "/tills/7", "c1", "Sold")),
        ({"messageId": "x" * 257}, FROM_SHOP, Glimpse("shop", "shop", None, None)),
        ({"messageId": True, "event": []}, FROM_SHOP, Glimpse("shop", "shop", None, None)),
        ([1], FROM_SHOP, Glimpse("shop", "shop", None, None)),
        ({"source": " till "}, (), Glimpse("till", "till", None, None)),
        ({"source": "till"}, (("X-Concert-Source", b"shop"),), Glimpse("shop", "shop", None, None)),
        ({"source": "a\0b", "id": "a\0b"}, (), Glimpse(None, None, None, None)),
        ({"source": 7}, (), Glimpse(None, None, None, None)),
        ({}, (("ce_source", b"/pos/1"),), Glimpse("/pos/1", "/pos/1", None, None)),
        (
            {"type": "track", "event": "Seen", "messageId": "m1", "userId": "u"},
            (),
            Glimpse("web", "web", "m1", "Seen"),
        ),
        ({"type": "identify"}, (), Glimpse("web", "web", None, "identify")),
        (
            {"type": "page", "source": "till", "id": 1},
            (),
            Glimpse("till", "till", "1", "page"),
        ),
        (
            {"type": "page", "source": "till", "userId": "u"},
            (),
            Glimpse("web", "web", None, "page"),
        ),
        (
            {"type": "page", "source": "/c", "specversion": "1.0", "id": "c1"},
            (),
            Glimpse("/c", "/c", "c1", "page"),
        ),
    ],
)
def test_every_dialect_shows_its_names(
    value: object, headers: tuple[tuple[str, bytes], ...], expected: Glimpse
) -> None:
    assert glimpse(orjson.dumps(value), headers, "web") == expected


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b'{"messageId":"m1","event":"Seen","properties":{"n":NaN}}', "Seen"),
        (b'{"messageId":"m1","event":"Seen\n","properties":{}}', "Seen"),
        (b'{"messageId":"m1","event":"Seen","properties":"\xff\xfe"}', "Seen"),
        (b'{"messageId":"m1","event":"\\ud83d cut"}', None),
    ],
)
def test_an_id_shows_in_what_is_almost_json(body: bytes, type_: str | None) -> None:
    assert glimpse(body, FROM_SHOP, "web") == Glimpse("shop", "shop", "m1", type_)


@pytest.mark.parametrize("value", [None, b"", b"no json", b'{"id":NaN}', b"[" * 100_000, b'"\xff"'])
def test_what_cannot_be_read_shows_its_source_alone(value: bytes | None) -> None:
    assert glimpse(value, FROM_SHOP, "web") == Glimpse("shop", "shop", None, None)
    assert glimpse(value, (("ce_id", b"\xff"),), "web").source is None


def message(number: int, *headers: tuple[str, bytes]) -> Message:
    return Message(None, orjson.dumps({"messageId": f"m{number}"}), (*FROM_SHOP, *headers))


def test_only_the_last_events_are_remembered() -> None:
    taken = RecentlyTaken(4)
    taken.note([message(1), message(2), message(3), message(1), message(4)])
    found = [n for n in range(1, 5) if taken.source_of("shop", f"m{n}") == "shop"]
    assert found == [1, 3, 4]
    assert taken.source_of("tills", "m1") is None


def test_what_was_refused_or_shows_no_id_is_not_remembered() -> None:
    taken = RecentlyTaken()
    refused = ("x-concert-refused", b"too_large: 9 bytes")
    taken.note([message(1, refused), Message(None, b"no json", FROM_SHOP)])
    assert taken.source_of("shop", "m1") is None


def test_a_source_that_is_no_text_is_remembered_somehow() -> None:
    taken = RecentlyTaken()
    taken.note([Message(None, b'{"messageId":"m1"}', (("x-concert-source", b"\xff"),))])
    assert taken.source_of("\ufffd", "m1") == "\ufffd"


def test_a_cloud_event_in_headers_is_remembered_under_its_own_source() -> None:
    taken = RecentlyTaken()
    taken.note([Message(None, b"", (*FROM_SHOP, *CLOUD))])
    assert taken.source_of("/tills/7", "c1") == "shop"
