"""The native touchpoint: what a Kafka producer writes that speaks Concert's own words.

`{"id","source","type","occurred_at","identifiers":[{"type","value"}]}` is enough. Also known:
`kind`, `channel`, `traits`, `properties`, `context`, `schema`, `trace`, `historical`, and instead
of identifiers `audience`, a condition that says who is meant. A publisher's `received_at` is its
own claim: it is kept with the unknown fields in `context.concert.extra`, because `received_at`
decides whether a rule may still react.
Traits stay traits: a native record names its identifiers, nothing is promoted.
"""

from services.ingest.domain.audience import read_audience_of
from services.ingest.domain.compose import Arrival, Reading, compose
from services.ingest.domain.fields import (
    Object,
    flag_at,
    id_at,
    object_at,
    required_text,
    text_at,
    violation,
)
from services.ingest.domain.identifiers import read_identifiers
from services.ingest.domain.normalise import normalise_time
from services.ingest.domain.segment import KINDS
from shared.contracts.touchpoint import Touchpoint

_KNOWN = frozenset(
    (
        *("id", "source", "type", "kind", "channel", "occurred_at", "identifiers", "traits"),
        *("properties", "context", "schema", "trace", "historical", "audience"),
    )
)


def read_native(event: Object, arrival: Arrival, source_name: str | None) -> Touchpoint:
    """The touchpoint of a native record; `source_name` is the collector's word, if it came so.

    Raises InvalidData `spec_violation`, `unknown_source`, `wrong_channel` or `too_old`; `too_large`
    only for one with an audience.
    """
    kind = text_at(event, "kind") or "track"
    if kind not in KINDS:
        raise violation("kind", f"must be one of {', '.join(KINDS)}")
    occurred_at = event.get("occurred_at")
    source = arrival.sources.find(source_name or required_text(event, "source"), arrival.channel)
    reading = Reading(
        source=source,
        type=required_text(event, "type"),
        kind=kind,
        message_id=id_at(event, "id"),
        body=event,
        channel=text_at(event, "channel"),
        occurred_at=None
        if occurred_at is None
        else normalise_time(occurred_at, "occurred_at", source.timezone),
        candidates=read_identifiers(event.get("identifiers")),
        traits=object_at(event, "traits"),
        properties=object_at(event, "properties"),
        context=object_at(event, "context"),
        extra={name: value for name, value in event.items() if name not in _KNOWN},
        schema=text_at(event, "schema"),
        trace=text_at(event, "trace"),
        historical=flag_at(event, "historical"),
        audience=read_audience_of(event) if "audience" in event else None,
    )
    return compose(reading, arrival)
