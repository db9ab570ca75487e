"""What counts as an identifier, and how far each type of it is trusted.

`IdentityRules` is what a deployment may configure; `usable` brings a touchpoint's identifiers into
the order in which they are trusted, without those that name nobody. Nothing here knows a profile.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple

from shared.contracts.identifier_form import form_of
from shared.contracts.identifiers import (
    DEFAULT_PRIORITY,
    MAX_PER_TOUCHPOINT,
    MAX_TYPE,
    MAX_VALUE,
    PRIORITIES,
    RESERVED_TYPE,
    names_nobody,
)
from shared.contracts.touchpoint import Identifier

PROFILE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

MAX_IDENTIFIERS = 1000
MAX_MERGES = 100

SHARED_PREFIX = "shared:"
"""A type that begins like this is ours: what a shared identifier does alone hangs on such a one."""

ERASED_PREFIX = "erased:"
"""A value that begins like this stands for an erased one; it is random, and kept as it is."""

Broken = Literal["veto", "limit", "cap", "cannot_link", "shared"]
Role = Literal["person", "device", "household", "account"]
Normaliser = Literal["plain", "lower", "digits", "email", "phone"]
Blocks = Callable[[str], bool]

VALUES_UNTIL_SHARED: Mapping[Role, int] = {"device": 2, "person": 3}
"""So many different values of a veto type an identifier is seen with, then it is shared."""


@dataclass(frozen=True, slots=True)
class IdentifierType:
    """How one type of identifier is trusted.

    `priority`: the smallest is the strongest. `limit`: how many values one profile may hold,
    `within` a span of time or for ever. `veto`: two different values are two different people.
    `role`: what it points at; only `person` and `device` tell people apart, the others link them.
    `normaliser`: the form of its values, beyond what ingest did already.
    """

    name: str
    priority: int = DEFAULT_PRIORITY
    limit: int = 5
    within: timedelta | None = None
    veto: bool = False
    role: Role = "person"
    normaliser: Normaliser = "plain"

    @property
    def names_persons(self) -> bool:
        """Whether it may create, join and unite profiles."""
        return self.role in ("person", "device")


_DEVICE_WINDOW = timedelta(days=30)
DEFAULT_TYPES = (
    IdentifierType("user_id", PRIORITIES["user_id"], limit=1, veto=True),
    IdentifierType("email"),
    IdentifierType("phone"),
    IdentifierType("loyalty_id"),
    IdentifierType(
        "anonymous_id", PRIORITIES["anonymous_id"], limit=100, within=_DEVICE_WINDOW, role="device"
    ),
    IdentifierType(
        "device_id", PRIORITIES["device_id"], limit=100, within=_DEVICE_WINDOW, role="device"
    ),
    IdentifierType("household_id", PRIORITIES["household_id"], role="household"),
    IdentifierType("group_id", PRIORITIES["group_id"], role="account"),
)


def _default_types() -> dict[str, IdentifierType]:
    return {type_.name: type_ for type_ in DEFAULT_TYPES}


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """All types, caps and blocked values. A type that is not named has the default priority and
    limit. `blocked` maps a type, or `*` for every type, to what says whether a value is blocked.

    `version` is the number of the publication; 0 is what holds before the first one.
    """

    types: Mapping[str, IdentifierType] = field(default_factory=_default_types)
    max_identifiers: int = MAX_IDENTIFIERS
    max_merges: int = MAX_MERGES
    blocked: Mapping[str, Blocks] = field(default_factory=dict)
    version: int = 0
    _plain: bool = field(init=False)
    _linking: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        plain = not self.blocked and all(one.normaliser == "plain" for one in self.types.values())
        linking = frozenset(name for name, one in self.types.items() if not one.names_persons)
        object.__setattr__(self, "_plain", plain)
        object.__setattr__(self, "_linking", linking)

    def of(self, name: str) -> IdentifierType:
        found = self.types.get(name)
        return IdentifierType(name) if found is None else found

    def type_order(self, name: str) -> tuple[int, str]:
        """Sort key of a type: the strongest first, then by name."""
        found = self.types.get(name)
        return (DEFAULT_PRIORITY if found is None else found.priority, name)

    def strength(self, key: str) -> tuple[int, str]:
        """Sort key of an identifier (`type NUL value`): the strongest first, then by key."""
        found = self.types.get(key.partition("\0")[0])
        return (DEFAULT_PRIORITY if found is None else found.priority, key)

    def vetoes(self, key: str) -> bool:
        """Whether an identifier is of a type of which nobody has two values."""
        found = self.types.get(key.partition("\0")[0])
        return found is not None and found.veto

    def form(self, type_: str, value: str) -> str | None:
        """The value in the form of its type; None when it names nobody by these rules."""
        if self._plain or value.startswith(ERASED_PREFIX):
            return value
        named = self.types.get(type_)
        if named is not None and named.normaliser != "plain":
            normal = _NORMALISERS[named.normaliser](value)
            if not normal:
                return None
            value = normal
        for asked in ("*", type_):
            blocks = self.blocked.get(asked)
            if blocks is not None and blocks(value):
                return None
        return value

    def links(self, type_: str) -> bool:
        """Whether a type only links people (a household, an account), and never is one."""
        return type_ in self._linking


def _digits(value: str) -> str:
    return "".join(letter for letter in value if letter.isdecimal())


_NORMALISERS: Mapping[Normaliser, Callable[[str], str | None]] = {
    "lower": str.lower,
    "digits": _digits,
    "email": lambda value: form_of("email", value),
    "phone": lambda value: form_of("phone", value),
}


def is_blocked(value: str) -> bool:
    """Whether a value names nobody, or is one that no index could hold: too long, or with a NUL."""
    return names_nobody(value) or len(value) > MAX_VALUE or "\0" in value


def stand_in(key: str) -> str:
    """The identifier that holds what a shared identifier (`type NUL value`) does alone."""
    return SHARED_PREFIX + key


class Usable(NamedTuple):
    """What a touchpoint's identifiers come to: `keys` strongest first, without doubles.

    `hint` is the profile id of a reserved identifier, `blocked` how many named nobody, `links`
    those that belong to a household or an account.
    """

    keys: list[str]
    hint: str | None
    blocked: int
    links: Sequence[str] = ()


def usable(identifiers: Sequence[Identifier], rules: IdentityRules) -> Usable:
    """Drop what names nobody, set the reserved type and links aside, and sort by strength.

    Ingest leaves out what is on the same list; this also holds for touchpoints of an older list.
    """
    keys: set[str] = set()
    links: set[str] = set()
    hint: str | None = None
    blocked = 0
    for one in identifiers:
        type_ = one.type
        if is_blocked(one.value) or not is_type(type_):
            blocked += 1
        elif type_ != RESERVED_TYPE:
            value = rules.form(type_, one.value)
            if value is None:
                blocked += 1
            else:
                (links if rules.links(type_) else keys).add(f"{type_}\0{value}")
        elif PROFILE_ID.fullmatch(one.value):
            hint = one.value if hint is None else min(hint, one.value)
        else:
            blocked += 1
    beside = sorted(links) if links else ()
    if len(keys) < 2:
        return Usable(list(keys), hint, blocked, beside)
    return Usable(sorted(keys, key=rules.strength)[:MAX_PER_TOUCHPOINT], hint, blocked, beside)


def is_type(name: str) -> bool:
    """Whether this can be the name of a type that a touchpoint gives."""
    return (
        bool(name)
        and len(name) <= MAX_TYPE
        and "\0" not in name
        and not name.startswith(SHARED_PREFIX)
    )
