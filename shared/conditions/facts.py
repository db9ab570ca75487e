"""What a condition may read: one profile, one event, its context. And the paths into it.

Facts hold JSON values as they were decoded (dict, list, str, int, float, bool, None); any other
type is a value of the wrong type. Nothing here may change a fact or judge one.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

Root = Literal[
    "profile",
    "computed",
    "event",
    "context",
    "type",
    "channel",
    "source",
    "household",
    "account",
    "links",
]
EVERY_CHANNEL = "*"
UNTIL = " until "
GRANTED_UNTIL = f"granted{UNTIL}"
"""How a stored row says that a grant ends: followed by the instant."""
GRANTED_FROM = "granted from "
"""How it says that one begins: followed by the instant, UNTIL, and the instant at which it ends."""
FOREVER = "forever"
"""An end that sorts behind every instant."""
Read = Callable[["Facts"], object]


class Facts(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """Everything one evaluation may read. What is left out is missing.

    `profile` holds the traits, `computed` the computed traits, `event` the properties of the
    event. `consents` maps (purpose, channel) to what holds there, such as `granted` or `denied`; a
    channel that is not named is as channel `*`. `leaves` maps the hash of
    an event leaf to `{"count": int, "until": ...}`. `changed` maps a trait that has just changed
    to the value it had before (None when it had none); computed traits are `computed.<name>`.
    `household` and `account` hold what is known of those groups, with `id` and `size`; `links` has
    the ids of all `accounts` and the keys of the static `lists`.
    """

    profile: Mapping[str, object] = {}
    computed: Mapping[str, object] = {}
    event: Mapping[str, object] = {}
    event_type: str | None = None
    event_channel: str | None = None
    event_source: str | None = None
    context: Mapping[str, object] = {}
    segments: Collection[str] = frozenset()
    persona: str | None = None
    consents: Mapping[tuple[str, str], str] = {}
    leaves: Mapping[str, Mapping[str, object]] = {}
    changed: Mapping[str, object] = {}
    household: Mapping[str, object] = {}
    account: Mapping[str, object] = {}
    links: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Location:
    """An attribute taken apart: which part of the facts, and the keys to follow in it."""

    root: Root
    path: tuple[str, ...]


def consent_in(facts: Facts, purpose: str, channel: str) -> str | None:
    """What holds for a purpose on a channel; None where nothing is on record."""
    exact = facts.consents.get((purpose, channel))
    return facts.consents.get((purpose, EVERY_CHANNEL)) if exact is None else exact


_LINKS = {
    "household": Location("household", ("id",)),
    "account": Location("account", ("id",)),
    "accounts": Location("links", ("accounts",)),
    "lists": Location("links", ("lists",)),
}
"""What a profile is linked to; these hide traits of the same names."""


def of_profile(attr: str) -> bool:
    """Whether a profile alone can answer for an attribute, without an event at hand."""
    return attr.startswith(("profile.", "household.", "account."))


def locate(attr: str) -> Location:
    """Where the attribute lives. Raises ValueError, with a sentence, when it names nothing."""
    first, *path = attr.split(".")
    if not path or not all(path):
        raise ValueError("an attribute is a root and a name: profile.<trait>, event.<property>, …")
    match first:
        case "profile" if path[0] in _LINKS:
            if len(path) > 1:
                raise ValueError("traits of a group are household.<trait> and account.<trait>")
            return _LINKS[path[0]]
        case "household" | "account":
            return Location(first, tuple(path))
        case "profile" if path[0] != "computed":
            return Location("profile", tuple(path))
        case "profile" if len(path) > 1:
            return Location("computed", tuple(path[1:]))
        case "profile":
            raise ValueError("name the computed trait: profile.computed.<name>")
        case "event" if path in (["type"], ["channel"], ["source"]):
            envelope: dict[str, Root] = {"type": "type", "channel": "channel", "source": "source"}
            return Location(envelope[path[0]], ())
        case "event":
            return Location("event", tuple(path))
        case "context":
            return Location("context", tuple(path))
        case _:
            raise ValueError(
                "an attribute starts with profile, event, context, household or account"
            )


def reader(attr: str) -> Read:
    """A function that reads the attribute from facts; None when it is missing."""
    location = locate(attr)
    match location.root:
        case "type":
            return lambda facts: facts.event_type
        case "channel":
            return lambda facts: facts.event_channel
        case "source":
            return lambda facts: facts.event_source
        case _:
            return _path_reader(location)


def _path_reader(location: Location) -> Read:
    key, *rest = location.path
    first = _first_key_reader(location.root, key)
    if not rest:
        return first

    def read(facts: Facts) -> object:
        return follow(first(facts), rest)

    return read


def _first_key_reader(root: Root, key: str) -> Read:
    match root:
        case "profile":
            return lambda facts: facts.profile.get(key)
        case "computed":
            return lambda facts: facts.computed.get(key)
        case "event":
            return lambda facts: facts.event.get(key)
        case "household":
            return lambda facts: facts.household.get(key)
        case "account":
            return lambda facts: facts.account.get(key)
        case "links":
            return lambda facts: facts.links.get(key)
        case _:
            return lambda facts: facts.context.get(key)


def follow(value: object, keys: "list[str] | tuple[str, ...]") -> object:
    """The value at the end of the keys; None where there is no object or no such key."""
    for key in keys:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value
