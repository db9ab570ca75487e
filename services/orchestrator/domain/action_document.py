"""Reads what a rule does: its actions, and what is done instead when one of them stops."""

from datetime import timedelta

from services.orchestrator.domain.content import Content, inline_content, read_locale
from services.orchestrator.domain.rule import (
    ACTION_KINDS,
    FALLBACK_REASONS,
    MAX_QUEUE,
    QUEUE,
    ActionSpec,
    Fallback,
)
from shared.conditions.document import Fields
from shared.conditions.mistakes import did_you_mean, shown
from shared.contracts.topics import CHANNEL_NAME

DEFAULT_EXPIRES_IN = timedelta(hours=24)
MAX_DELAY = timedelta(days=366)
MAX_EXPIRES_IN = timedelta(days=366)
NOTHING = timedelta(0)
MAX_ACTIONS = 20
MAX_FALLBACKS = 5
DEFAULT_ON = frozenset({"undeliverable", "no_consent", "capped"})

_WHAT = ("type", "channel", "template", "content", "locale", "queue", "expires_in")
ACTION_FIELDS = (*_WHAT, "delay", "fallback")
_LATER = {
    "outcomes": "Not available in a rule: only journeys go on after an outcome.",
    "on_failure": "Not available in a rule: give a fallback for what is undeliverable.",
    "url": "Not available in a rule: the channel has the address of its webhook.",
}
_FALLBACK_LATER = {
    "delay": "Not available in a fallback: it keeps the delay of its action.",
    "fallback": "Not available in a fallback: list all of them at the action, in order.",
}


def read_actions(fields: Fields) -> tuple[ActionSpec, ...]:
    """The actions of a rule; at least one."""
    fields.required("actions")
    if fields.value("actions") == []:
        fields.wrong("actions", "min_items", "must hold at least one action")
    return tuple(
        read_action(Fields(fields.mistakes, value, path, ACTION_FIELDS, _LATER))
        for path, value in fields.items("actions", MAX_ACTIONS)
    )


def read_action(fields: Fields) -> ActionSpec:
    """One action with its fallbacks."""
    fields.required("type")
    locale = _locale(fields)
    delay = fields.duration("delay", NOTHING, MAX_DELAY, zero=True)
    expires_in = fields.duration("expires_in", DEFAULT_EXPIRES_IN, MAX_EXPIRES_IN)
    known = ("on", *_WHAT)
    fallbacks = tuple(
        _fallback(
            Fields(fields.mistakes, value, path, known, _FALLBACK_LATER), locale, delay, expires_in
        )
        for path, value in fields.items("fallback", MAX_FALLBACKS)
    )
    return _spec(fields, locale, delay, expires_in, fallbacks)


def _fallback(
    fields: Fields, locale: str | None, delay: timedelta, expires_in: timedelta
) -> Fallback:
    """What is not said is as for the action."""
    own = _locale(fields) or locale
    expires_in = fields.duration("expires_in", expires_in, MAX_EXPIRES_IN)
    return Fallback(_reasons(fields), _spec(fields, own, delay, expires_in, ()))


def _reasons(fields: Fields) -> frozenset[str]:
    if not fields.has("on"):
        return DEFAULT_ON
    named: set[str] = set()
    for path, value in fields.items("on", len(FALLBACK_REASONS)):
        if isinstance(value, str) and value in FALLBACK_REASONS:
            named.add(value)
            continue
        hint = did_you_mean(value, FALLBACK_REASONS) if isinstance(value, str) else ""
        one_of = f"{shown(value)} is none of {', '.join(FALLBACK_REASONS)}.{hint}"
        fields.mistakes.add(path, "choice", one_of)
    if fields.value("on") == []:
        fields.wrong("on", "min_items", "must name at least one reason")
    return frozenset(named)


def _spec(
    fields: Fields,
    locale: str | None,
    delay: timedelta,
    expires_in: timedelta,
    fallback: tuple[Fallback, ...],
) -> ActionSpec:
    fields.required("channel")
    channel = fields.text("channel")
    if channel is not None and CHANNEL_NAME.fullmatch(channel) is None:
        fields.wrong("channel", "key", "is 1 to 64 lower-case letters, digits and '_'")
    if fields.has("template") is fields.has("content"):
        fields.wrong("template", "one_of", 'needs either "template" or "content"')
    return ActionSpec(
        type=fields.choice("type", tuple(ACTION_KINDS), "message"),
        channel=channel or "",
        template=fields.key("template"),
        content=_inline(fields),
        locale=locale,
        queue=_queue(fields),
        delay=delay,
        expires_in=expires_in,
        fallback=fallback,
    )


def _locale(fields: Fields) -> str | None:
    if not fields.has("locale"):
        return None
    return read_locale(fields.mistakes, fields.place("locale"), fields.value("locale"))


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
