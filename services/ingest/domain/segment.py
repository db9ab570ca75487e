"""The Segment dialect: what the SDKs of Segment and RudderStack send, one event at a time.

Kinds are track, identify, page, screen, group and alias; a batch is taken apart by the collector,
which hands on what stood beside the list (`context`, `integrations`, `sentAt`) in a header. A
touchpoint's `type` is the event name of a track call and the kind itself for all others.

Identifiers: `userId`, `anonymousId`, `previousId` of an alias (as anonymous_id),
`context.externalIds` of the users collection, and `email` and `phone` of the traits: this is the
only dialect that promotes traits. Traits are `traits` of identify and `context.traits` of every
call; the names Segment has for standard traits become Concert's. The traits of a group describe an
account, not a person: they stay in the properties.
Unknown fields are kept in `context.concert.extra`; `writeKey` is a secret and is dropped.
"""

from typing import Any

from services.ingest.domain.compose import Arrival, Reading, compose
from services.ingest.domain.fields import (
    Object,
    as_object,
    id_at,
    kind_of,
    object_at,
    required_text,
    text_at,
    violation,
)
from services.ingest.domain.identifiers import INVALID, RESERVED, Candidate, is_type
from services.ingest.domain.normalise import normalise_time
from services.ingest.domain.source import Source
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.touchpoint import Touchpoint
from shared.errors import InvalidData

KINDS = ("track", "identify", "page", "screen", "group", "alias")

_KNOWN = frozenset(
    (
        *("type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId"),
        *("timestamp", "originalTimestamp", "sentAt", "context", "properties", "writeKey"),
        *("name", "category"),
    )
)
_PROMOTED = ("email", "phone")
_TRAIT_NAMES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "postalCode": "postal_code",
}
_ADDRESS = ("street", "city", "postal_code", "state", "country")


def looks_like_segment(event: Object) -> bool:
    """Whether a record on Kafka that does not say so has the shape of a Segment call."""
    return event.get("type") in KINDS and (
        "messageId" in event or "userId" in event or "anonymousId" in event
    )


def read_segment(
    event: Object,
    arrival: Arrival,
    *,
    source_name: str | None,
    kind: str | None,
    batch: Object,
) -> Touchpoint:
    """The touchpoint of one call.

    `source_name` and `kind` come from the collector (key and path); without them the source is
    named as the channel and the kind is the event's `type`. `batch` is what stood beside the list.
    Raises InvalidData `spec_violation`, `unknown_source`, `wrong_channel` or `too_old`.
    """
    kind = kind or required_text(event, "type")
    if kind not in KINDS:
        raise violation("type", f"must be one of {', '.join(KINDS)}")
    context = {**object_at(batch, "context"), **object_at(event, "context")}
    traits, own_traits = _traits(event, kind, context)
    candidates, dropped = _candidates(event, context, traits)
    if not candidates and not dropped:
        raise violation("userId", "userId or anonymousId is required")
    source = arrival.sources.find(source_name or arrival.channel, arrival.channel)
    sent_at = _sent_at(event, batch)
    reading = Reading(
        source=source,
        type=required_text(event, "event") if kind == "track" else kind,
        kind=kind,
        message_id=id_at(event, "messageId"),
        body={name: value for name, value in event.items() if name not in ("sentAt", "writeKey")},
        occurred_at=_occurred_at(event, source.timezone),
        sent_at=_clock(sent_at, source),
        candidates=candidates,
        dropped=dropped,
        traits=traits,
        properties=_properties(event, kind, own_traits),
        context={name: value for name, value in context.items() if name != "traits"},
        notes={} if sent_at is None else {"sent_at": sent_at},
        extra=_extra(event, batch, kind),
    )
    return compose(reading, arrival)


def _occurred_at(event: Object, zone: str | None) -> str | None:
    """The event's own time; never that of the batch, which is only when it was sent."""
    for name in ("timestamp", "originalTimestamp"):
        value = event.get(name)
        if value is not None:
            return normalise_time(value, name, zone)
    return None


def _sent_at(event: Object, batch: Object) -> Any:
    """When it was sent, as the sender wrote it; what stands beside the list covers the others."""
    own = event.get("sentAt")
    return batch.get("sentAt") if own is None else own


def _clock(sent_at: Any, source: Source) -> str | None:
    """What a device's clock showed when it sent. One that cannot be read corrects nothing: the
    event is good without it.
    """
    if not source.device or sent_at is None:
        return None
    try:
        return normalise_time(sent_at, "sentAt", source.timezone)
    except InvalidData:
        return None


def _traits(event: Object, kind: str, context: Object) -> tuple[Object, Object]:
    """The person's traits under standard names, and the traits of the call itself."""
    own = object_at(event, "traits")
    found = {
        **as_object(context.get("traits"), "context.traits"),
        **(own if kind == "identify" else {}),
    }
    return (_standard_traits(found) if found else found), own


def _standard_traits(found: Object) -> Object:
    traits: Object = {}
    for name, value in found.items():
        if name == "address" and isinstance(value, dict):
            _spread_address(traits, found, value)
        elif name not in _TRAIT_NAMES:
            traits[name] = value
        elif _TRAIT_NAMES[name] not in found:
            traits[_TRAIT_NAMES[name]] = value
    return traits


def _spread_address(traits: Object, found: Object, address: Object) -> None:
    """Lift the known parts of an address to traits of their own; the rest stays in `address`."""
    rest: Object = {}
    for name, value in address.items():
        standard = _TRAIT_NAMES.get(name, name)
        if standard in _ADDRESS and standard not in found and standard not in traits:
            traits[standard] = value
        else:
            rest[name] = value
    if rest:
        traits["address"] = rest


def _candidates(
    event: Object, context: Object, traits: Object
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    found: list[Candidate] = []
    for field, type_ in (
        ("userId", "user_id"),
        ("anonymousId", "anonymous_id"),
        ("previousId", "anonymous_id"),
    ):
        value = id_at(event, field)
        if value is not None:
            found.append((type_, value))
    for name in _PROMOTED:
        value = traits.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            found.append((name, value))
    external = context.get("externalIds")
    if external is None:
        return found, []
    return _external_ids(external, found)


def _external_ids(
    external: Any, found: list[Candidate]
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    """Add `context.externalIds`; what cannot be an identifier is dropped with its reason."""
    if not isinstance(external, list):
        raise violation("context.externalIds", f"must be a list, is {kind_of(external)}")
    dropped: list[dict[str, Any]] = []
    for index, item in enumerate(external):
        path = f"context.externalIds[{index}]"
        entry = as_object(item, path)
        if entry.get("collection") not in (None, "users"):
            continue
        type_, value = text_at(entry, "type"), id_at(entry, "id")
        if type_ is None:
            raise violation(f"{path}.type", "is required")
        type_ = type_.lower()
        if type_ == RESERVED_TYPE or not is_type(type_):
            reason = RESERVED if type_ == RESERVED_TYPE else INVALID
            dropped.append({"type": type_, "value": value, "reason": reason})
        else:
            found.append((type_, value))
    return found, dropped


def _properties(event: Object, kind: str, own_traits: Object) -> Object:
    properties = object_at(event, "properties")
    if kind in ("page", "screen"):
        named = {name: event[name] for name in ("name", "category") if event.get(name) is not None}
        return {**named, **properties}
    if kind == "group":
        group = id_at(event, "groupId")
        if group is None:
            raise violation("groupId", "is required")
        return {**properties, "group_id": group, "group_traits": own_traits}
    return properties


def _extra(event: Object, batch: Object, kind: str) -> Object:
    known = _KNOWN | {"traits"} if kind in ("identify", "group") else _KNOWN
    extra = {name: value for name, value in event.items() if name not in known}
    if "integrations" in batch:
        extra["integrations"] = {
            **object_at(batch, "integrations"),
            **object_at(event, "integrations"),
        }
    return extra
