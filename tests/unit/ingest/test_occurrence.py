"""When an event happened: devices' clocks, the future, old events."""

from typing import Any

import pytest

from services.ingest.domain.occurrence import occurrence
from services.ingest.domain.source import Source
from shared.errors import InvalidData
from tests.unit.ingest.reading import NATIVE, RECEIVED_AT, read, refusal, registered
from tests.unit.ingest.test_segment import TRACK

NOON = "2026-11-21T12:00:00.000Z"
SEGMENT: dict[str, str | bytes] = {"x-concert-dialect": "segment", "x-concert-source": "s"}


def source(**settings: Any) -> Source:
    return Source(id="s", name="S", channel="web", **settings)


@pytest.mark.parametrize(
    ("stated", "sent_at", "happened", "notes"),
    [
        ("2026-11-21T11:59:00.000Z", NOON, "2026-11-21T11:59:00.000Z", {}),
        ("2026-11-21T10:00:00.000Z", "2026-11-21T11:59:00.000Z", "2026-11-21T10:00:00.000Z", {}),
        (
            "2026-11-21T10:00:00.000Z",
            "2026-11-21T11:58:59.999Z",
            "2026-11-21T10:01:00.001Z",
            {"clock_skew_ms": 60_001},
        ),
        (
            "2026-11-21T13:00:00.000Z",
            "2026-11-21T13:00:30.000Z",
            "2026-11-21T11:59:30.000Z",
            {"clock_skew_ms": -3_630_000},
        ),
        (
            "1970-01-01T00:00:10.000Z",
            "1970-01-01T00:00:20.000Z",
            "2026-11-21T11:59:50.000Z",
            {"clock_skew_ms": 1_795_262_380_000},
        ),
        (
            "2026-11-21T15:00:00.000Z",
            "2026-11-21T14:00:00.000Z",
            NOON,
            {"clock_skew_ms": -7_200_000, "clamped": True},
        ),
        ("2026-11-19T12:00:00.000Z", None, "2026-11-19T12:00:00.000Z", {"late": True}),
    ],
)
def test_the_clock_of_a_device(
    stated: str, sent_at: str | None, happened: str, notes: dict[str, Any]
) -> None:
    found = occurrence(stated, sent_at=sent_at, received_at=NOON, source=source(device=True))
    original = {} if notes in ({}, {"late": True}) else {"original_timestamp": stated}
    assert found == (happened, notes | original)


@pytest.mark.parametrize(
    ("stated", "happened", "notes"),
    [
        ("2026-11-21T12:05:00.000Z", "2026-11-21T12:05:00.000Z", {}),
        (
            "2026-11-21T12:05:00.001Z",
            NOON,
            {"clamped": True, "original_timestamp": "2026-11-21T12:05:00.001Z"},
        ),
        ("2026-11-20T12:00:00.000Z", "2026-11-20T12:00:00.000Z", {}),
        ("2026-11-20T11:59:59.999Z", "2026-11-20T11:59:59.999Z", {"late": True}),
        ("0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z", {"late": True}),
        (None, NOON, {}),
    ],
)
def test_a_server_is_believed_but_for_the_future(
    stated: str | None, happened: str, notes: dict[str, Any]
) -> None:
    sent_at = "2026-11-21T08:00:00.000Z"
    assert occurrence(stated, sent_at=sent_at, received_at=NOON, source=source()) == (
        happened,
        notes,
    )


def test_absurd_clocks() -> None:
    device = source(device=True)
    ends = occurrence(
        "9999-01-01T00:00:00.000Z",
        sent_at="0001-01-01T00:00:00.000Z",
        received_at=NOON,
        source=device,
    )
    assert (ends.occurred_at, ends.notes["clamped"]) == (NOON, True)
    with pytest.raises(InvalidData) as refused:
        occurrence(
            "0001-01-01T00:00:00.000Z",
            sent_at="9999-01-01T00:00:00.000Z",
            received_at=NOON,
            source=device,
        )
    assert refused.value.reason == "spec_violation"
    last = "9999-12-31T23:59:00.000Z"
    assert occurrence(last, sent_at=None, received_at=last, source=device).occurred_at == last


def test_a_source_may_say_how_old_an_event_can_be() -> None:
    for age, source_takes in ((3600, True), (3599, False)):
        sources = registered(max_age_seconds=age)
        event = {**NATIVE, "source": "s", "occurred_at": "2025-11-21T07:00:00.123Z"}
        if source_takes:
            assert read(event, sources=sources).occurred_at == "2025-11-21T07:00:00.123Z"
        else:
            error = refusal(event, sources=sources)
            assert (error.reason, error.path) == ("too_old", "occurred_at")
            assert "3600 s" in error.detail


def test_history_is_not_late() -> None:
    event = {**NATIVE, "occurred_at": "1997-01-01"}
    assert read(event).context == {"concert": {"late": True}}
    assert read({**event, "historical": True}).context == {}


@pytest.mark.parametrize(
    ("zone", "stated", "happened"),
    [
        (None, "2025-07-01T10:00:00", "2025-07-01T10:00:00.000Z"),
        ("Europe/Paris", "2025-07-01T10:00:00", "2025-07-01T08:00:00.000Z"),
        ("Europe/Paris", "2025-01-01", "2024-12-31T23:00:00.000Z"),
        ("Europe/Paris", "2025-07-01T10:00:00Z", "2025-07-01T10:00:00.000Z"),
        ("Europe/Paris", "2025-07-01T10:00:00+05:30", "2025-07-01T04:30:00.000Z"),
        ("Europe/Paris", "2024-10-27T02:30:00", "2024-10-27T00:30:00.000Z"),
        ("Europe/Paris", "2025-03-30T02:30:00", "2025-03-30T01:30:00.000Z"),
    ],
)
def test_a_local_time_is_read_where_its_source_is(
    zone: str | None, stated: str, happened: str
) -> None:
    sources = registered(timezone=zone)
    native = read({**NATIVE, "source": "s", "occurred_at": stated}, sources=sources)
    segment = read({**TRACK, "timestamp": stated}, SEGMENT, sources=sources)
    assert native.occurred_at == segment.occurred_at == happened


def test_a_local_time_before_the_year_1_is_none() -> None:
    event = {**NATIVE, "source": "s", "occurred_at": "0001-01-01"}
    assert refusal(event, sources=registered(timezone="Asia/Tokyo")).reason == "spec_violation"


def test_a_segment_call_of_a_device_is_put_right() -> None:
    event = {**TRACK, "timestamp": "2025-11-21T05:59:59Z", "sentAt": "2025-11-21T06:00:00Z"}
    device, server = registered(device=True), registered()
    moved, kept = read(event, SEGMENT, sources=device), read(event, SEGMENT, sources=server)
    assert moved.occurred_at == "2025-11-21T07:59:59.123Z"
    assert moved.context["concert"] == {
        "sent_at": "2025-11-21T06:00:00Z",
        "clock_skew_ms": 7_200_123,
        "original_timestamp": "2025-11-21T05:59:59.000Z",
    }
    assert kept.occurred_at == "2025-11-21T05:59:59.000Z"
    assert moved.id == kept.id


def test_the_batch_says_when_it_was_sent_for_events_that_do_not() -> None:
    beside = {**SEGMENT, "x-concert-batch": b'{"sentAt":"2025-11-21T06:00:00Z"}'}
    event = {**TRACK, "timestamp": "2025-11-21T05:59:59Z", "sentAt": None}
    device = registered(device=True)
    assert read(event, beside, sources=device).occurred_at == "2025-11-21T07:59:59.123Z"
    own = {**event, "sentAt": RECEIVED_AT}
    assert read(own, beside, sources=device).occurred_at == "2025-11-21T05:59:59.000Z"
    unreadable = {**event, "sentAt": "just now"}
    assert read(unreadable, beside, sources=device).occurred_at == "2025-11-21T05:59:59.000Z"


def test_the_id_does_not_depend_on_any_clock() -> None:
    event = {name: value for name, value in TRACK.items() if name != "messageId"}
    ids = {
        read({**event, "sentAt": sent}, SEGMENT, sources=sources, timestamp=timestamp).id
        for sent in ("2025-11-21T06:00:00Z", "1999-01-01T00:00:00Z")
        for sources in (registered(device=True, timezone="Asia/Tokyo"), registered())
        for timestamp in (1_763_712_000_123, 1_763_900_000_000)
    }
    assert len(ids) == 1


def test_a_registered_source_is_bound_to_its_channel() -> None:
    event = {**NATIVE, "source": "s"}
    assert read(event, sources=registered()).channel == "web"
    for shape, headers in ((event, None), (TRACK, SEGMENT)):
        with pytest.raises(InvalidData) as refused:
            read(shape, headers, sources=registered(), channel="pos")
        assert (refused.value.reason, refused.value.path) == ("wrong_channel", "source")
    refused_field = refusal({**event, "channel": "pos"}, sources=registered())
    assert (refused_field.reason, refused_field.path) == ("wrong_channel", "channel")
    assert read({**event, "channel": "web"}, sources=registered()).channel == "web"
    assert read({**event, "channel": "pos"}).channel == "pos", "nobody bound an unregistered one"
