"""Purposes of consents, and how customers opt out, as a person writes them; and the one way from
such a document to the rules. What a document leaves out is as built in."""

from collections.abc import Mapping
from typing import Any

from services.profile.domain.consent_change import may_be_said
from services.profile.domain.consent_rules import (
    BASES,
    CONSENT,
    DEFAULT_OPT_OUTS,
    START_WORDS,
    STOP_WORDS,
    OptOuts,
    Purpose,
    folded,
    words,
)
from services.profile.domain.period import Period, parse_period
from shared.conditions.document import Fields
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.errors import Unprocessable

OPT_OUT_KEY = "default"
"""There is one set of rules for opting out."""

MAX_PURPOSES = 200
MAX_CHANNELS = 30
MAX_LANGUAGES = 50
MAX_WORDS = 100
MAX_WORD = 60
MAX_NAME = 64
MAX_TITLE = 100
MAX_DESCRIPTION = 1000
_PURPOSE = (
    *("key", "name", "description", "bases", "double_opt_in", "expires_after"),
    "channels",
)
_OPT_OUTS = ("key", "stop", "start", "messages", "body", "channels", "unsubscribed", "complained")


def parse_purpose(document: object, *, key: str) -> Purpose:
    """The purpose of a decoded JSON document. Raises Unprocessable with one problem for each
    mistake."""
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _PURPOSE)
    fields.same_key(key)
    if len(key) > MAX_NAME:
        fields.wrong("key", "max_length", f"has {len(key)} characters, at most {MAX_NAME} allowed")
    fields.required("name")
    purpose = Purpose(
        key=key,
        name=fields.text("name", limit=MAX_TITLE) or key,
        description=fields.text("description", limit=MAX_DESCRIPTION),
        bases=_bases(fields),
        double_opt_in=fields.boolean("double_opt_in", default=False),
        expires_after=_period(fields),
        channels=_names(fields, "channels", MAX_CHANNELS, None, channels=True),
    )
    if purpose.double_opt_in and CONSENT not in purpose.bases:
        fields.wrong("double_opt_in", "basis", f"is for the basis {CONSENT}, which is not allowed")
    if mistakes.problems:
        raise Unprocessable(f"the purpose {key} breaks rules", mistakes.problems)
    return purpose


def parse_opt_outs(document: object) -> OptOuts:
    """The rules of a decoded JSON document. Raises Unprocessable with one problem for each
    mistake."""
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _OPT_OUTS)
    fields.same_key(OPT_OUT_KEY)
    default = DEFAULT_OPT_OUTS
    found = OptOuts(
        stop=words(_languages(fields, "stop", STOP_WORDS)),
        start=words(_languages(fields, "start", START_WORDS)),
        messages=_types(fields, "messages", default.messages),
        body=fields.text("body", limit=MAX_NAME) or default.body,
        channels=frozenset(
            _names(fields, "channels", MAX_CHANNELS, tuple(default.channels), channels=True) or ()
        ),
        unsubscribed=_types(fields, "unsubscribed", default.unsubscribed),
        complained=_types(fields, "complained", default.complained),
    )
    both = sorted(found.stop & found.start)
    if both:
        fields.wrong("start", "ambiguous", f"{shown(both[0])} is a word to stop as well")
    if mistakes.problems:
        raise Unprocessable("the rules for opting out break rules", mistakes.problems)
    return found


def default_opt_outs() -> dict[str, Any]:
    """The document of what is built in."""
    default = DEFAULT_OPT_OUTS
    return {
        "stop": {language: list(listed) for language, listed in STOP_WORDS.items()},
        "start": {language: list(listed) for language, listed in START_WORDS.items()},
        "messages": sorted(default.messages),
        "body": default.body,
        "channels": sorted(default.channels),
        "unsubscribed": sorted(default.unsubscribed),
        "complained": sorted(default.complained),
    }


def _bases(fields: Fields) -> tuple[str, ...]:
    if not fields.required("bases"):
        return ()
    found = []
    for path, value in fields.items("bases", len(BASES)):
        if isinstance(value, str) and value in BASES:
            found.append(value)
        else:
            hint = did_you_mean(value, BASES) if isinstance(value, str) else ""
            message = f"{shown(value)} is none of {', '.join(BASES)}.{hint}"
            fields.mistakes.add(path, "choice", message)
    if fields.value("bases") == []:
        fields.wrong("bases", "min_items", "name at least one legal basis")
    return tuple(dict.fromkeys(found))


def _period(fields: Fields) -> Period | None:
    value = fields.value("expires_after")
    if value is None:
        return None
    period = parse_period(value) if isinstance(value, str) else None
    if period is None:
        message = f"{shown(value)} is no period of at most 100 years such as P2Y or P90D"
        fields.wrong("expires_after", "period", message)
    return period


def _names(
    fields: Fields, name: str, limit: int, default: tuple[str, ...] | None, *, channels: bool
) -> tuple[str, ...] | None:
    """A list of names; of channels, none that is reserved."""
    if not fields.has(name):
        return default
    found = []
    for path, value in fields.items(name, limit):
        fits = isinstance(value, str) and 0 < len(value) <= MAX_NAME
        if not fits or any(letter.isspace() or not letter.isprintable() for letter in str(value)):
            message = f"must be a name without spaces of at most {MAX_NAME} characters"
            fields.mistakes.add(path, "name", message)
        elif channels and (str(value).startswith("*") or not may_be_said("p", str(value))):
            fields.mistakes.add(path, "reserved", f"{shown(value)} names no channel")
        else:
            found.append(str(value))
    return tuple(dict.fromkeys(found))


def _types(fields: Fields, name: str, default: frozenset[str]) -> frozenset[str]:
    """A list of event types."""
    if not fields.has(name):
        return default
    found = set()
    for path, value in fields.items(name, MAX_CHANNELS):
        if isinstance(value, str) and 0 < len(value) <= MAX_TITLE:
            found.add(value)
        else:
            fields.mistakes.add(path, "event_type", f"{shown(value)} is no type of an event")
    return frozenset(found)


def _languages(
    fields: Fields, name: str, default: Mapping[str, tuple[str, ...]]
) -> Mapping[str, list[str] | tuple[str, ...]]:
    """Words by language. A language that is named replaces that one; `null` or nothing keeps it."""
    value = fields.value(name)
    if value is None:
        return default
    if not isinstance(value, dict) or len(value) > MAX_LANGUAGES:
        fields.wrong(name, "type", f"must be an object of at most {MAX_LANGUAGES} languages")
        return default
    found: dict[str, list[str] | tuple[str, ...]] = dict(default)
    for language in value:
        inner = Fields(fields.mistakes, value, fields.place(name), tuple(value))
        listed = []
        for path, word in inner.items(language, MAX_WORDS):
            if isinstance(word, str) and len(word) <= MAX_WORD and folded(word):
                listed.append(word)
            else:
                message = f"must be a word of at most {MAX_WORD} characters"
                fields.mistakes.add(path, "word", message)
        found[language] = listed
    return found
