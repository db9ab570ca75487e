"""Reads a contact policy from its JSON document and notes every mistake with its path."""

import re
from collections.abc import Callable, Collection
from datetime import time, timedelta
from typing import TypeVar, cast

from services.orchestrator.domain.cap import LONGEST, PERIODS, SCOPES, Cap
from services.orchestrator.domain.contact_policy import (
    CATEGORIES,
    DEFAULT_POLICY,
    FACTORS,
    NEEDS,
    TIES,
    USUAL_NEEDS,
    Arbitration,
    ContactPolicy,
    Need,
)
from services.orchestrator.domain.experiments.experiment_document import read_metric
from services.orchestrator.domain.preference import LAST_ENGAGED, TRAIT
from services.orchestrator.domain.quiet_hours import DEFAULT_DEFER, EVERY_DAY, QuietHours
from services.orchestrator.domain.rule import Holdout
from services.orchestrator.domain.suppression import Suppression
from services.orchestrator.domain.zone import SOURCES, Source, TimeZone
from shared.conditions.document import KEY, Fields
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.contracts.delivery import OUTCOMES
from shared.contracts.zones import is_zone
from shared.errors import Unprocessable

MAX_CAPS = 50
MAX_QUIET_HOURS = 50
MAX_SUPPRESSIONS = 50
MAX_CHANNELS = 50
MAX_PREFERENCES = 10
MAX_LIMIT = 10_000
MAX_COUNT = 1_000
MAX_WINDOW = timedelta(days=366)
MAX_DEFER = timedelta(days=31)
MAX_ARBITRATION = timedelta(days=1)
TRAIT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

_FIELDS = (
    "key", "version", "name", "description", "time_zone", "caps", "quiet_hours", "suppressions",
    "consent", "channel_preference", "arbitration", "bypass", "holdout",
)  # fmt: skip
T = TypeVar("T")


def parse_policy(document: object, *, key: str, version: int) -> ContactPolicy:
    """The contact policy of a decoded JSON document.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS)
    fields.same_key(key)
    fields.text("name")
    fields.text("description", limit=2_000)
    bypass, counts = fields.nested("bypass", _bypass, ("categories", "counts_toward_caps"))
    policy = ContactPolicy(
        key=key,
        version=version,
        caps=_each(fields, "caps", MAX_CAPS, _cap),
        bypass=bypass,
        bypass_counts=counts,
        time_zone=_given(fields, "time_zone", _time_zone, ("source", "default")),
        quiet_hours=_each(fields, "quiet_hours", MAX_QUIET_HOURS, _quiet_hours),
        suppressions=_each(fields, "suppressions", MAX_SUPPRESSIONS, _suppression),
        consent=fields.nested("consent", _consent, ("require",)),
        channel_preference=_given(fields, "channel_preference", _preference, ("order",)),
        arbitration=fields.nested(
            "arbitration",
            _arbitration,
            ("window", "max_actions", "customer_weight", "formula", "tie"),
        ),
        holdout=_given(fields, "holdout", _holdout, ("percent", "salt", "metric")),
    )
    if mistakes.problems:
        raise Unprocessable("the contact policy breaks rules", mistakes.problems)
    return policy


def _each(
    fields: Fields, name: str, limit: int, read: Callable[[Mistakes, object, str], T]
) -> tuple[T, ...]:
    return tuple(read(fields.mistakes, value, path) for path, value in fields.items(name, limit))


def _given(
    fields: Fields, name: str, read: Callable[[Fields], T], known: tuple[str, ...]
) -> T | None:
    """The nested object, None when it is absent."""
    return fields.nested(name, read, known) if fields.has(name) else None


def _words(fields: Fields, name: str, choices: Collection[str], limit: int) -> list[str] | None:
    """A list of some of the choices, none of them twice; None when it is absent."""
    if not fields.has(name):
        return None
    found: list[str] = []
    for path, value in fields.items(name, limit):
        if not isinstance(value, str) or value not in choices:
            hint = did_you_mean(value, sorted(choices)) if isinstance(value, str) else ""
            message = f"{shown(value)} is none of {', '.join(choices)}.{hint}"
            fields.mistakes.add(path, "choice", message)
        elif value in found:
            fields.mistakes.add(path, "unique", f"{shown(value)} stands here twice")
        else:
            found.append(value)
    if not found and fields.value(name) == []:
        fields.wrong(name, "min_items", "is empty: leave it out, or name at least one")
    return found


def _categories(fields: Fields) -> frozenset[str] | None:
    found = _words(fields, "categories", CATEGORIES, len(CATEGORIES))
    return None if found is None else frozenset(found)


def _channels(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("channels"):
        return None
    found: list[str] = []
    for path, value in fields.items("channels", MAX_CHANNELS):
        if isinstance(value, str) and KEY.fullmatch(value):
            found.append(value)
        else:
            fields.mistakes.add(path, "key", f"{shown(value)} is no key of a channel")
    if fields.value("channels") == []:
        fields.wrong("channels", "min_items", "is empty: leave it out for every channel")
    return tuple(found)


def _time_zone(fields: Fields) -> TimeZone:
    default = fields.value("default")
    if default is not None and not is_zone(default):
        fields.wrong("default", "zone", f"{shown(default)} is no time zone such as Europe/Paris")
        default = None
    named = _words(fields, "source", SOURCES, len(SOURCES))
    source = SOURCES if named is None else tuple(cast(Source, one) for one in named)
    return TimeZone(source, "UTC" if default is None else str(default))


def _cap(mistakes: Mistakes, value: object, path: str) -> Cap:
    fields = Fields(mistakes, value, path, ("scope", "limit", "window", "kind", "per"))
    kind = fields.choice("kind", ("rolling", "calendar"), "rolling")
    fields.required("limit")
    limit = fields.whole("limit", 0, 0, MAX_LIMIT)
    fields.required("window")
    period = PERIODS.get(str(fields.value("window"))) if kind == "calendar" else None
    if period is not None:
        window = LONGEST[period]
    elif kind == "calendar":
        window = timedelta(days=1)
        if fields.has("window"):
            given = shown(fields.value("window"))
            only = "P1D (a day), P7D (an ISO week) or P1M (a month)"
            fields.wrong("window", "choice", f"{given} is no calendar window: {only}")
    else:
        window = fields.duration("window", timedelta(days=1), MAX_WINDOW)
    scope = fields.nested(
        "scope", lambda nested: {name: nested.text(name) for name in SCOPES}, SCOPES
    )
    category = scope["category"]
    if category is not None and category not in CATEGORIES:
        fields.wrong("scope.category", "choice", f"is none of {', '.join(CATEGORIES)}")
    per = fields.choice("per", ("profile", "household"), "profile")
    return Cap(limit, window, **scope, household=per == "household", period=period)


def _quiet_hours(mistakes: Mistakes, value: object, path: str) -> QuietHours:
    known = ("channels", "categories", "from", "to", "days", "action", "max_defer")
    fields = Fields(mistakes, value, path, known)
    discards = fields.choice("action", ("defer", "discard"), "defer") == "discard"
    if discards and fields.has("max_defer"):
        fields.wrong("max_defer", "meaningless", "nothing is deferred where `action` is discard")
    return QuietHours(
        start=read_clock(fields, "from"),
        end=read_clock(fields, "to"),
        channels=_channels(fields),
        categories=_categories(fields),
        days=read_days(fields, "days"),
        discards=discards,
        max_defer=fields.duration("max_defer", DEFAULT_DEFER, MAX_DEFER),
    )


def read_clock(fields: Fields, name: str) -> time:
    """A time of the day."""
    value = fields.value(name)
    found = CLOCK.fullmatch(value) if isinstance(value, str) else None
    if fields.required(name) and found is None:
        fields.wrong(name, "clock", f"{shown(value)} is no local time such as 21:00")
    return time() if found is None else time(int(found[1]), int(found[2]))


def read_days(fields: Fields, name: str) -> frozenset[int]:
    """Days of the week; all of them where nothing is said."""
    if not fields.has(name):
        return EVERY_DAY
    found = set()
    for path, value in fields.items(name, 7):
        if type(value) is int and value in EVERY_DAY:
            found.add(value)
        else:
            fields.mistakes.add(path, "number_range", "must be 1 (Monday) to 7 (Sunday)")
    if fields.value(name) == []:
        fields.wrong(name, "min_items", "is empty: leave it out for every day")
    return frozenset(found)


def _suppression(mistakes: Mistakes, value: object, path: str) -> Suppression:
    fields = Fields(mistakes, value, path, ("on", "for", "categories"))
    fields.required("on")
    fields.required("for")
    outcome, channel, count, within, per = fields.nested(
        "on", _on, ("outcome", "channel", "count", "within", "per")
    )
    return Suppression(
        outcome=outcome,
        count=count,
        within=within,
        length=fields.duration("for", timedelta(days=1), MAX_WINDOW),
        per=per,
        channel=channel,
        categories=_categories(fields),
    )


def _on(fields: Fields) -> tuple[str, str | None, int, timedelta, str | None]:
    fields.required("outcome")
    count = fields.whole("count", 1, 1, MAX_COUNT)
    if count > 1:
        fields.required("within")
    per = fields.choice("per", SCOPES, "") if fields.has("per") else None
    return (
        fields.choice("outcome", OUTCOMES, ""),
        fields.key("channel"),
        count,
        fields.duration("within", timedelta(days=1), MAX_WINDOW),
        per,
    )


def _consent(fields: Fields) -> dict[str, Need]:
    def read(required: Fields) -> dict[str, Need]:
        found: dict[str, Need] = {}
        for category in USUAL_NEEDS:
            if not required.has(category):
                continue
            need = required.choice(category, NEEDS, USUAL_NEEDS[category])
            if category == "marketing" and need == "none":
                required.wrong(category, "choice", "marketing never goes to who refused it")
            found[category] = cast(Need, need)
        return found

    return fields.nested("require", read, tuple(USUAL_NEEDS))


def _preference(fields: Fields) -> tuple[str, ...]:
    fields.required("order")
    found: list[str] = []
    for path, value in fields.items("order", MAX_PREFERENCES):
        trait = isinstance(value, str) and value.startswith(TRAIT)
        if not isinstance(value, str) or not (
            value == LAST_ENGAGED or (trait and TRAIT_NAME.fullmatch(value.removeprefix(TRAIT)))
        ):
            message = f"{shown(value)} is neither {TRAIT}<trait> nor {LAST_ENGAGED}"
            fields.mistakes.add(path, "choice", message)
        elif value in found:
            fields.mistakes.add(path, "unique", f"{shown(value)} stands here twice")
        else:
            found.append(value)
    return tuple(found)


def _arbitration(fields: Fields) -> Arbitration:
    has = fields.has
    window = fields.duration("window", timedelta(0), MAX_ARBITRATION, zero=True)
    max_actions = fields.whole("max_actions", 1, 1, 100)
    weight = fields.number("customer_weight", 0.0, 0.0, 1.0)
    formula = _words(fields, "formula", FACTORS, len(FACTORS))
    tie = _words(fields, "tie", TIES, len(TIES))
    if tie is not None and isinstance(fields.value("tie"), list) and set(tie) != set(TIES):
        fields.wrong("tie", "choice", f"must name each of {', '.join(TIES)} once")
    return Arbitration(
        window=window if has("window") else None,
        max_actions=max_actions if has("max_actions") else None,
        formula=None if formula is None else tuple(formula),
        tie=None if tie is None else tuple(tie),
        customer_weight=weight if has("customer_weight") else None,
    )


def _bypass(fields: Fields) -> tuple[frozenset[str], bool]:
    found = set()
    for path, value in fields.items("categories", len(CATEGORIES)):
        if value not in CATEGORIES:
            fields.mistakes.add(
                path, "choice", f"{shown(value)} is none of {', '.join(CATEGORIES)}"
            )
        elif value == "marketing":
            fields.mistakes.add(path, "choice", "marketing cannot bypass the contact policy")
        else:
            found.add(str(value))
    chosen = frozenset(found) if fields.has("categories") else DEFAULT_POLICY.bypass
    return chosen, fields.boolean("counts_toward_caps", default=False)


def _holdout(fields: Fields) -> Holdout:
    fields.required("percent")
    fields.required("salt")
    percent = fields.number("percent", 0.0, 0.0, 100.0)
    if abs(percent * 100 - round(percent * 100)) > 1e-6:
        fields.wrong("percent", "precision", "has at most two decimals")
    return Holdout(percent, fields.text("salt") or "", read_metric(fields, "metric"))
