"""What touchpoints say about consents: changes in forms, words in messages, opt-outs of channels.

Only a few types of event can say anything; all others are passed by one look into a set. What is
said has the touchpoint as its proof, and the time at which it happened, at most that of its
receipt: nobody's wrong clock outlasts a later word.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from uuid import UUID

import msgspec

from services.profile.domain.consent import Consents
from services.profile.domain.consent_change import (
    ConsentChange,
    Entry,
    apply_changes,
    may_be_said,
    with_room,
)
from services.profile.domain.consent_rules import (
    CHANGED,
    MAX_MESSAGE,
    SEGMENT_CHANGED,
    ConsentRules,
    Refused,
    folded,
)
from shared.contracts.consents import EVERY, GENERAL, STOPPED
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.touchpoint import TouchpointEnvelope
from shared.ids import derived_id

STOP_BASIS = "stop_word"

MAX_NAME = 64
MAX_TEXT = 200
MAX_SAID = 100
"""So many consents one event may change; the others are left out and counted."""

ENTRIES = UUID("b6c2d3f7-31c5-5a06-9c6b-6f5b7c9d2e10")
_objects = msgspec.json.Decoder(dict[str, object])


class Heard(msgspec.Struct, gc=False):
    """What a touchpoint said: the entries, and how many statements could not be taken."""

    entries: list[Entry]
    dropped: int = 0


def hear(held: Consents, touchpoint: TouchpointEnvelope, rules: ConsentRules) -> Heard:
    """Record in place what a touchpoint says, whose type is one of `rules.events`."""
    at = min(touchpoint.occurred_at, touchpoint.received_at)
    heard = Heard([])
    for place, said in enumerate(_said(touchpoint, rules)):
        change = None if said is None or place >= MAX_SAID else rules.admit(said, at)
        if change is None or isinstance(change, Refused) or with_room(held, change) is None:
            heard.dropped += 1
            continue
        name = partial(_entry_id, touchpoint.id, place)
        heard.entries += apply_changes(held, [msgspec.structs.replace(change, at=at)], at, name)
    return heard


def _entry_id(touchpoint_id: str, place: int, _: int) -> str:
    return str(derived_id(ENTRIES, touchpoint_id, str(place)))


def _said(touchpoint: TouchpointEnvelope, rules: ConsentRules) -> Iterator[ConsentChange | None]:
    """The statements of a touchpoint; None for one that cannot be understood."""
    type_, opt_outs = touchpoint.type, rules.opt_outs
    if type_ == CHANGED:
        yield from _listed(touchpoint)
    elif type_ == SEGMENT_CHANGED:
        yield from _preferences(touchpoint)
    elif type_ in opt_outs.unsubscribed:
        purpose = _objects.decode(touchpoint.properties).get("purpose")
        named = isinstance(purpose, str) and _is_name(purpose) and purpose not in GENERAL
        yield ConsentChange(str(purpose) if named else EVERY, touchpoint.channel, "denied")
    elif type_ in opt_outs.complained:
        yield ConsentChange(EVERY, touchpoint.channel, "denied")
    elif touchpoint.channel in opt_outs.channels:
        body = _objects.decode(touchpoint.properties).get(opt_outs.body)
        if isinstance(body, str) and len(body) <= MAX_MESSAGE:
            word = folded(body)
            if word in opt_outs.stop:
                yield ConsentChange(STOPPED, touchpoint.channel, "denied", STOP_BASIS)
            elif word in opt_outs.start:
                yield ConsentChange(STOPPED, touchpoint.channel, "granted", STOP_BASIS)


def _listed(touchpoint: TouchpointEnvelope) -> Iterator[ConsentChange | None]:
    """`properties.consents`, or properties that are one consent themselves."""
    properties = _objects.decode(touchpoint.properties)
    listed = properties.get("consents", [properties])
    if not isinstance(listed, list):
        yield None
        return
    for one in listed:
        yield _statement(one, touchpoint.channel) if isinstance(one, dict) else None


def _statement(said: Mapping[str, object], channel: str) -> ConsentChange | None:
    purpose, status = said.get("purpose"), said.get("status")
    on = said.get("channel", channel)
    if not isinstance(purpose, str) or not isinstance(on, str) or status not in _STATUSES:
        return None
    if not (_is_name(purpose) and _is_name(on) and may_be_said(purpose, on)) or purpose == STOPPED:
        return None
    expires = said.get("expires_at")
    until = _instant(expires) if isinstance(expires, str) else None
    if expires is not None and until is None:
        return None
    return ConsentChange(
        purpose,
        on,
        "granted" if status == "granted" else "denied",
        _text(said.get("basis")),
        _text(said.get("text_version")),
        until,
    )


def _preferences(touchpoint: TouchpointEnvelope) -> Iterator[ConsentChange | None]:
    """The `context.consent.categoryPreferences` of a consent manager: category -> true or false."""
    consent = _objects.decode(touchpoint.context).get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if not isinstance(preferences, dict):
        yield None
        return
    for name, value in preferences.items():
        understood = _is_name(name) and may_be_said(name, EVERY) and isinstance(value, bool)
        if understood and name not in GENERAL:
            yield ConsentChange(name, EVERY, "granted" if value else "denied")
        else:
            yield None


_STATUSES = ("granted", "denied")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and not any(
        letter.isspace() or letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text
    )


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    return value[:MAX_TEXT]


def _instant(text: str) -> str | None:
    try:
        return rfc3339(parse_rfc3339(text))
    except (ValueError, OverflowError):
        return None
