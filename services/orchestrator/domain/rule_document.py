"""Reads the JSON form of a rule and names every mistake with its path.

What the contract describes but this version does not do is refused with a sentence, never ignored.
"""

from datetime import datetime, timedelta

from services.orchestrator.domain.contact_policy import CATEGORIES
from services.orchestrator.domain.content import Content, inline_content, read_locale
from services.orchestrator.domain.rule import (
    ACTION_KINDS,
    QUEUE,
    ActionSpec,
    EngagementPolicy,
    ReEntry,
    ReEntryMode,
    Rule,
    Trigger,
    Worth,
)
from services.orchestrator.domain.score import MAX_WEIGHT, MIN_WEIGHT
from shared.conditions.document import KEY, Fields
from shared.conditions.leaves import of_this_event
from shared.conditions.mistakes import Mistakes
from shared.conditions.operands import read_attribute
from shared.conditions.parse import read_condition
from shared.conditions.tree import Condition, EventCount
from shared.contracts.topics import CHANNEL_NAME
from shared.errors import Unprocessable

DEFAULT_MAX_AGE = timedelta(hours=24)
DEFAULT_EXPIRES_IN = timedelta(hours=24)
MAX_AGE = timedelta(days=36_500)
MAX_DELAY = timedelta(days=366)
MAX_EXPIRES_IN = timedelta(days=366)
NOTHING = timedelta(0)
MAX_ACTIONS = 20
MAX_EXITS = 20
MAX_CONTEXTS = 20
MAX_PRIORITY = 1_000_000
MAX_WORTH = 1e9
MAX_QUEUE = 200

_FIELDS = (
    *("key", "version", "status", "name", "description", "category", "topic", "issue", "group"),
    *("trigger", "engagement_policy", "re_entry", "score", "priority", "arbitration", "actions"),
    *("exit_criteria", "valid"),
)
_LATER = {
    "holdout": "Holdouts are not available in this version: everybody would be treated.",
    "experiment": "Experiments are not available in this version.",
    "experiments": "Experiments are not available in this version.",
    "include_existing": "Only segment triggers have members, and they are not available yet.",
    "version_policy": "Rules have no runs: the live version applies at once.",
    "quiet_hours": "Quiet hours are not available in this version.",
}
_ACTION_FIELDS = (
    "type", "channel", "template", "content", "locale", "queue", "delay", "expires_in",
)  # fmt: skip
_ACTION_LATER = {
    "fallback": "Fallback channels are not available in this version: give a second action.",
    "outcomes": "Only journeys go on after an outcome; this version has none.",
    "on_failure": "Only journeys go on after a failure; this version has none.",
    "url": "Webhook connectors are not available in this version: consume the channel's topic.",
}
_SCORE_LATER = {
    "costs": "Costs of scarce resources are not available in this version.",
    "customer": "The customer's own score is not available in this version.",
}
_OTHER_TRIGGERS = ("segment_entered", "segment_left", "trait_changed", "schedule", "api")


_TRIGGER_LATER = dict.fromkeys(
    ("rrule", "zone", "audience"), "Only event triggers are available in this version."
)
_WINDOW_LATER = {"window": "An arbitration window is not available in this version."}


def parse_rule(document: object, *, key: str, version: int) -> Rule:
    """The rule of a decoded JSON document, under the key and version it is stored with.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS, _LATER)
    if KEY.fullmatch(key) is None:
        fields.wrong("key", "key", "is lower-case letters, digits, '_', '-' and '.', at most 100")
    fields.same_key(key)
    for name in ("name", "description", "issue"):
        fields.text(name, limit=2_000)
    fields.required("trigger")
    valid_from, valid_to = fields.nested("valid", _valid, ("from", "to"))
    rule = Rule(
        key=key,
        version=version,
        category=fields.choice("category", CATEGORIES, "marketing"),
        topic=fields.text("topic"),
        group=fields.text("group"),
        trigger=fields.nested(
            "trigger", _trigger, ("type", "event", "where", "max_age", "historical"), _TRIGGER_LATER
        ),
        engagement_policy=fields.nested(
            "engagement_policy", _engagement, ("eligibility", "applicability", "suitability")
        ),
        re_entry=fields.nested("re_entry", _re_entry, ("mode", "cooldown", "key")),
        worth=fields.nested(
            "score", _worth, ("propensity", "value", "context", "lever"), _SCORE_LATER
        ),
        priority=fields.whole("priority", 0, -MAX_PRIORITY, MAX_PRIORITY),
        max_actions=fields.nested("arbitration", _max_actions, ("max_actions",), _WINDOW_LATER),
        actions=_actions(fields),
        exit_criteria=_exits(fields),
        valid_from=valid_from,
        valid_to=valid_to,
    )
    if mistakes.problems:
        raise Unprocessable("the rule breaks rules", mistakes.problems)
    return rule


def _trigger(fields: Fields) -> Trigger:
    kind = fields.value("type")
    if kind in _OTHER_TRIGGERS:
        only = f'Triggers of type "{kind}" are not available in this version: only "event" is.'
        fields.wrong("type", "not_available", only)
    else:
        fields.choice("type", ("event",), "event")
        fields.required("event")
    return Trigger(
        event=fields.text("event") or "",
        where=fields.condition("where"),
        max_age=fields.duration("max_age", DEFAULT_MAX_AGE, MAX_AGE),
        historical=fields.boolean("historical", default=False),
    )


def _engagement(fields: Fields) -> EngagementPolicy:
    return EngagementPolicy(
        eligibility=fields.condition("eligibility"),
        applicability=fields.condition("applicability"),
        suitability=fields.condition("suitability"),
    )


def _re_entry(fields: Fields) -> ReEntry:
    modes: tuple[ReEntryMode, ...] = ("always", "after_exit", "never")
    mode = fields.choice("mode", modes, "always")
    key = None
    if fields.has("key"):
        key = read_attribute(fields.mistakes, fields.place("key"), fields.value("key"))
    return ReEntry(
        mode=next(known for known in modes if known == mode),
        cooldown=fields.duration("cooldown", NOTHING, MAX_AGE, zero=True),
        key=key,
    )


def _worth(fields: Fields) -> Worth:
    context: list[tuple[Condition, float]] = []
    for path, value in fields.items("context", MAX_CONTEXTS):
        part = Fields(fields.mistakes, value, path, ("when", "weight"))
        part.required("weight")
        weight = part.number("weight", 0.0, MIN_WEIGHT, MAX_WEIGHT)
        condition = part.condition("when") if part.required("when") else None
        if condition is not None:
            context.append((condition, weight))
    return Worth(
        propensity=fields.number("propensity", 1.0, 0.0, 1.0),
        value=fields.number("value", 1.0, -MAX_WORTH, MAX_WORTH),
        context=tuple(context),
        lever=fields.number("lever", 0.0, MIN_WEIGHT, MAX_WEIGHT),
    )


def _max_actions(fields: Fields) -> int | None:
    return fields.whole("max_actions", 1, 1, 100) if fields.has("max_actions") else None


def _valid(fields: Fields) -> tuple[datetime | None, datetime | None]:
    start, end = fields.instant("from"), fields.instant("to")
    if start is not None and end is not None and end <= start:
        fields.wrong("to", "time_order", "must be later than from")
    return start, end


def _actions(fields: Fields) -> tuple[ActionSpec, ...]:
    fields.required("actions")
    if fields.value("actions") == []:
        fields.wrong("actions", "min_items", "must hold at least one action")
    return tuple(
        _action(Fields(fields.mistakes, value, path, _ACTION_FIELDS, _ACTION_LATER))
        for path, value in fields.items("actions", MAX_ACTIONS)
    )


def _action(fields: Fields) -> ActionSpec:
    fields.required("type")
    fields.required("channel")
    channel = fields.text("channel")
    if channel is not None and CHANNEL_NAME.fullmatch(channel) is None:
        fields.wrong("channel", "key", "is 1 to 64 lower-case letters, digits and '_'")
    if fields.has("template") is fields.has("content"):
        fields.wrong("template", "one_of", 'needs either "template" or "content"')
    locale = None
    if fields.has("locale"):
        locale = read_locale(fields.mistakes, fields.place("locale"), fields.value("locale"))
    return ActionSpec(
        type=fields.choice("type", tuple(ACTION_KINDS), "message"),
        channel=channel or "",
        template=fields.key("template"),
        content=_inline(fields),
        locale=locale,
        queue=_queue(fields),
        delay=fields.duration("delay", NOTHING, MAX_DELAY, zero=True),
        expires_in=fields.duration("expires_in", DEFAULT_EXPIRES_IN, MAX_EXPIRES_IN),
    )


def _queue(fields: Fields) -> Content | None:
    """The name of the queue of a task: a text that may hold Liquid (`store:{{profile.store}}`)."""
    name = fields.text("queue", limit=MAX_QUEUE)
    if name is None:
        return None
    return inline_content(fields.mistakes, {QUEUE: name}, fields.path)


def _inline(fields: Fields) -> Content | None:
    if not fields.has("content"):
        return None
    return inline_content(fields.mistakes, fields.value("content"), fields.place("content"))


def _exits(fields: Fields) -> tuple[Condition, ...] | None:
    if not fields.has("exit_criteria"):
        return None
    criteria = (
        _exit(fields, value, path) for path, value in fields.items("exit_criteria", MAX_EXITS)
    )
    return tuple(criterion for criterion in criteria if criterion is not None)


def _exit(fields: Fields, value: object, path: str) -> Condition | None:
    """A later touchpoint (`{event, where}`), or a condition without event leaves."""
    if not isinstance(value, dict) or "event" not in value:
        return fields.condition_of(value, path)
    leaf = read_condition(value, fields.mistakes.problems, path=path, allow_event_leaves=True)
    if isinstance(leaf, EventCount):
        try:
            of_this_event(leaf)
        except ValueError:
            single = 'one later touchpoint ends the reason: leave out "count" and "within"'
            fields.mistakes.add(path, "exit_event", single)
    return leaf
