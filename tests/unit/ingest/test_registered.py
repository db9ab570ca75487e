"""The source that `load` judges by is the source that the worker judges by."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from services.ingest.api.source_request import SourceRequest
from services.ingest.api.sources import Counters, SourceDetail, _shown
from services.ingest.domain.source import Source
from services.ingest.load.prepare import RowReader
from services.ingest.load.registered import NO_RULES, source_shown
from services.ingest.load.text_rows import FileRow
from services.ingest.storage.sources import StoredSource
from shared.errors import InvalidData

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FULL: dict[str, Any] = {
    "id": "tills",
    "name": "Tills",
    "channel": "pos",
    "offline": True,
    "dialect": "webhook",
    "default_region": "FR",
    "subject_as": "user_id",
    "trust": 70,
    "timezone": "Europe/Paris",
    "device": True,
    "max_age": "P30DT12H",
    "tracking": "warn",
    "events_per_second": 5,
    "mapping": {"type": {"const": "Sale"}},
    "pii": {"traits.nick": "name"},
}


def answer(settings: dict[str, Any]) -> bytes:
    """What `GET /v1/sources/{id}` says of a source with these settings."""
    source = SourceRequest(**settings).source()
    stored = StoredSource(
        **msgspec.structs.asdict(source), version=3, created_at=NOW, created_by="ada"
    )
    counters = Counters(received=0, accepted=0, duplicate=0, failed=0, in_flight=0)
    shown = SourceDetail(**_shown(stored), keys=[], counters=counters)
    return shown.model_dump_json().encode()


def test_every_setting_of_a_source_arrives() -> None:
    plain = Source(id="", name="", channel="")
    source = SourceRequest(**FULL).source()
    assert set(FULL) == set(SourceRequest.model_fields)
    for name in msgspec.structs.asdict(source):
        assert getattr(source, name) != getattr(plain, name), f"{name} shows nothing"
    assert source_shown(answer(FULL)) == source


def test_a_source_without_settings_arrives() -> None:
    settings = {name: FULL[name] for name in ("id", "name", "channel")}
    assert source_shown(answer(settings)) == SourceRequest(**settings).source()


def test_every_field_of_the_answer_is_a_rule_or_known_to_be_none() -> None:
    rules = set(msgspec.structs.asdict(Source(id="", name="", channel=""))) - {"max_age_seconds"}
    assert set(SourceDetail.model_fields) == rules | {"max_age"} | NO_RULES


@pytest.mark.parametrize("more", [{"max_distance": 3}, {"max_age": "a month"}, {"trust": "much"}])
def test_what_is_not_understood_is_refused(more: dict[str, Any]) -> None:
    document = {**json.loads(answer(FULL)), **more}
    with pytest.raises(msgspec.ValidationError):
        source_shown(json.dumps(document).encode())


def test_a_row_that_the_worker_will_find_too_old_is_rejected() -> None:
    settings = {**{name: FULL[name] for name in ("id", "name", "channel")}, "max_age": "P30D"}
    reader = RowReader(
        source=source_shown(answer(settings)),
        content="c",
        mapping=None,
        live=False,
        topic="channel.pos",
    )
    now = int(NOW.timestamp() * 1000)
    fields = {"type": "Sale", "identifiers": [{"type": "user_id", "value": "u"}]}
    recent = FileRow(1, 0, {**fields, "occurred_at": "2025-12-31T00:00:00Z"})
    assert reader.read(recent, now).touchpoint.type == "Sale"
    with pytest.raises(InvalidData) as refused:
        reader.read(FileRow(2, 0, {**fields, "occurred_at": "2025-11-01T00:00:00Z"}), now)
    assert refused.value.reason == "too_old"
