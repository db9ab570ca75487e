"""Reads what triggers a rule: an event, a change of a profile, a schedule, or a question."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from services.orchestrator.domain.rule import Trigger, TriggerKind
from services.orchestrator.domain.schedule import read_schedule
from shared.conditions.document import Fields
from shared.conditions.facts import locate
from shared.conditions.tree import Condition

DEFAULT_MAX_AGE = timedelta(hours=24)
MAX_AGE = timedelta(days=36_500)

_OF_A_CHANGE = ("where", "include_existing")
_FIELDS: Mapping[TriggerKind, tuple[str, ...]] = {
    "event": ("event", "where", "max_age", "historical"),
    "segment_entered": ("segment", *_OF_A_CHANGE),
    "segment_left": ("segment", *_OF_A_CHANGE),
    "trait_changed": ("trait", "max_age", *_OF_A_CHANGE),
    "persona_changed": ("persona", *_OF_A_CHANGE),
    "schedule": ("rrule", "zone", "audience", "max_age"),
    "api": ("where",),
}
"""The fields of each type of trigger, beside the type."""
COUNTED = ("touchpoints", "orders", "revenue", "first_seen_at", "last_seen_at")
"""Computed traits that are built in, and not told when they change."""
TRIGGER_FIELDS = tuple(dict.fromkeys(("type", *(n for own in _FIELDS.values() for n in own))))


def read_trigger(fields: Fields, start: datetime | None) -> Trigger:
    """The trigger of a rule that is in force from `start`, if it says so."""
    kind = _kind(fields)
    if kind is None:
        return Trigger(event="", where=None, max_age=DEFAULT_MAX_AGE, historical=False)
    for name in TRIGGER_FIELDS[1:]:
        if fields.has(name) and name not in _FIELDS[kind]:
            fields.wrong(name, "trigger_type", f'is no field of a trigger of type "{kind}"')
    if kind == "event":
        fields.required("event")
    return Trigger(
        event=(fields.text("event") or "") if kind == "event" else "",
        where=_where(fields, kind),
        max_age=fields.duration("max_age", DEFAULT_MAX_AGE, MAX_AGE),
        historical=fields.boolean("historical", default=False),
        kind=kind,
        include_existing=fields.boolean("include_existing", default=False),
        subject=_subject(fields, kind),
        schedule=read_schedule(fields, start) if kind == "schedule" else None,
    )


def _kind(fields: Fields) -> TriggerKind | None:
    named = fields.choice("type", tuple(_FIELDS), "event")
    if fields.has("type") and fields.value("type") != named:
        return None  # noted; what its fields should be cannot be known
    return next(kind for kind in _FIELDS if kind == named)


def _where(fields: Fields, kind: TriggerKind) -> Condition | None:
    if not fields.has("where"):
        return None
    return fields.condition_of(
        fields.value("where"),
        fields.place("where"),
        changes=kind == "trait_changed",
        event_leaves=True,
    )


def _subject(fields: Fields, kind: TriggerKind) -> str | None:
    match kind:
        case "segment_entered" | "segment_left":
            return fields.key("segment") if fields.required("segment") else None
        case "trait_changed":
            return _trait(fields) if fields.required("trait") else None
        case "persona_changed":
            return fields.key("persona")
        case _:
            return None


def _trait(fields: Fields) -> str | None:
    """The name of a trait, a computed one as `computed.<name>`; `profile.` before it is the same
    trait."""
    value = fields.text("trait")
    if value is None:
        return None
    name = value.removeprefix("profile.")
    try:
        location = locate(f"profile.{name}")
    except ValueError as error:
        fields.wrong("trait", "attribute", str(error))
        return None
    if location.root not in ("profile", "computed") or len(location.path) != 1:
        fields.wrong("trait", "attribute", "is one trait: <name>, or computed.<name>")
        return None
    if location.root == "computed" and location.path[0] in COUNTED:
        by_event = "changes with every event it counts: let the event trigger the rule"
        fields.wrong("trait", "attribute", by_event)
        return None
    return name
