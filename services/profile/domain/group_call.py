"""What a touchpoint says of groups: its identifiers that link people, and the call `group`.

Segment's `group` call arrives as kind `group` with the properties `group_id` and `group_traits`. A
publisher may add `group_type`: an identifier type that links people, or `household` or `account`;
without it, it is an account (type `group_id`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from services.profile.domain.groups import Group, GroupKind, GroupSaying
from services.profile.domain.identity import IdentityRules, is_blocked, is_type
from services.profile.domain.survivorship import MAX_NAME, MAX_VALUE_BYTES, canonical
from shared.contracts.touchpoint import TouchpointEnvelope

KIND = "group"
_ALIASES = {"household": "household_id", "account": "group_id"}


class _Properties(msgspec.Struct, gc=False):
    """The properties of a group call, as far as they are its own."""

    group_id: str | int | None = None
    group_type: str = "group_id"
    group_traits: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Properties)


class GroupCall(NamedTuple):
    """Which group was named, and what was said of it."""

    group: Group
    said: dict[str, GroupSaying]


def group_of(key: str, rules: IdentityRules) -> Group:
    """The group that an identifier (`type NUL value`) of a type that links people names."""
    role = rules.of(key.partition("\0")[0]).role
    kind: GroupKind = "household" if role == "household" else "account"
    return Group(kind, key)


def groups_of(links: Sequence[str], rules: IdentityRules) -> list[Group]:
    """The groups that a touchpoint's identifiers name: at most one household, by the strongest
    type, and every account."""
    found = [group_of(key, rules) for key in sorted(links, key=rules.strength)]
    households = [group for group in found if group.kind == "household"]
    return households[:1] + [group for group in found if group.kind == "account"]


def group_call(touchpoint: TouchpointEnvelope, rules: IdentityRules) -> GroupCall | None:
    """What a touchpoint of kind `group` says; None when it names no group."""
    if touchpoint.kind != KIND:
        return None
    try:
        properties = _decoder.decode(touchpoint.properties)
    except msgspec.ValidationError:
        return None  # a group by something else than a text: as good as none
    type_ = _ALIASES.get(properties.group_type, properties.group_type)
    named = "" if properties.group_id is None else str(properties.group_id)
    if not is_type(type_) or not rules.links(type_) or is_blocked(named):
        return None
    value = rules.form(type_, named)
    if value is None:
        return None
    said = {}
    for name, given in properties.group_traits.items():
        encoded = canonical(given)
        if 0 < len(name) <= MAX_NAME and len(encoded) <= MAX_VALUE_BYTES and "\0" not in name:
            said[name] = GroupSaying(touchpoint.occurred_at, touchpoint.id, encoded)
    return GroupCall(group_of(f"{type_}\0{value}", rules), said)
