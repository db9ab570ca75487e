"""Who is this? Decides whether a touchpoint creates a profile, joins one, or unites several.

The rule is Segment Unify's priority trust: every profile that knows one of the touchpoint's
identifiers is a candidate; while their union would break a rule, the touchpoint's weakest
identifier is set aside (demoted) and the question is asked again. The survivor of a merge is the
smallest profile id. Nothing here changes anything; the answer is a `Resolution`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

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

Broken = Literal["veto", "limit", "cap"]


@dataclass(frozen=True, slots=True)
class IdentifierType:
    """How one type of identifier is trusted.

    `priority`: the smallest is the strongest. `limit`: how many values one profile may hold,
    `within` a span of time or for ever. `veto`: two different values are two different people.
    """

    name: str
    priority: int = DEFAULT_PRIORITY
    limit: int = 5
    within: timedelta | None = None
    veto: bool = False


_DEVICE_WINDOW = timedelta(days=30)
DEFAULT_TYPES = (
    IdentifierType("user_id", PRIORITIES["user_id"], limit=1, veto=True),
    IdentifierType("email"),
    IdentifierType("phone"),
    IdentifierType("loyalty_id"),
    IdentifierType("anonymous_id", PRIORITIES["anonymous_id"], limit=100, within=_DEVICE_WINDOW),
    IdentifierType("device_id", PRIORITIES["device_id"], limit=100, within=_DEVICE_WINDOW),
)


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """All types and caps. A type that is not named has the default priority and limit."""

    types: Mapping[str, IdentifierType] = field(
        default_factory=lambda: {type_.name: type_ for type_ in DEFAULT_TYPES}
    )
    max_identifiers: int = MAX_IDENTIFIERS
    max_merges: int = MAX_MERGES

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


def is_blocked(value: str) -> bool:
    """Whether a value names nobody, or is one that no index could hold: too long, or with a NUL."""
    return names_nobody(value) or len(value) > MAX_VALUE or "\0" in value


class Usable(NamedTuple):
    """What a touchpoint's identifiers come to: `keys` strongest first, without doubles.

    `hint` is the profile id of a reserved identifier, `blocked` how many named nobody.
    """

    keys: list[str]
    hint: str | None
    blocked: int


def usable(identifiers: Sequence[Identifier], rules: IdentityRules) -> Usable:
    """Drop what names nobody, set the reserved type aside, and sort by strength.

    Ingest leaves out what is on the same list; this also holds for touchpoints of an older list.
    """
    keys: set[str] = set()
    hint: str | None = None
    blocked = 0
    for one in identifiers:
        if is_blocked(one.value) or not one.type or len(one.type) > MAX_TYPE or "\0" in one.type:
            blocked += 1
        elif one.type != RESERVED_TYPE:
            keys.add(f"{one.type}\0{one.value}")
        elif PROFILE_ID.fullmatch(one.value):
            hint = one.value if hint is None else min(hint, one.value)
        else:
            blocked += 1
    if len(keys) < 2:
        return Usable(list(keys), hint, blocked)
    return Usable(sorted(keys, key=rules.strength)[:MAX_PER_TOUCHPOINT], hint, blocked)


class Candidate(Protocol):
    """What resolving has to know of a profile."""

    @property
    def n_merges(self) -> int: ...

    @property
    def size(self) -> int:
        """How many identifiers it holds."""

    def keys_of(self, type_: str) -> Collection[str]:
        """The identifiers of a type that it holds."""

    def types(self) -> Collection[str]:
        """The types of identifier it holds."""

    def first_seen_at(self, key: str) -> str:
        """When an identifier it holds was first seen."""


class Demoted(NamedTuple):
    """An identifier that was set aside, and the rule that the union would have broken."""

    key: str
    broken: Broken


class Resolution(NamedTuple):
    """The answer: `profiles` sorted (none: create, one: attach, more: merge into the first).

    `keys` are the identifiers that count, strongest first; `new` those of them that the profile
    does not hold yet and shall hold. `demoted` were set aside; `unkept` count, but the profile is
    full (`cap`).
    """

    profiles: Sequence[str]
    keys: Sequence[str]
    new: Sequence[str]
    demoted: Sequence[Demoted] = ()
    unkept: Sequence[str] = ()

    @property
    def kind(self) -> Literal["create", "attach", "merge"]:
        return ("create", "attach")[len(self.profiles)] if len(self.profiles) < 2 else "merge"


def resolve(
    keys: Sequence[str],
    owners: Mapping[str, str],
    profiles: Mapping[str, Candidate],
    *,
    hint: str | None,
    occurred_at: str,
    rules: IdentityRules,
) -> Resolution:
    """Resolve a touchpoint's usable identifiers (strongest first, no doubles; may be empty).

    `owners` maps identifiers to active profiles, `profiles` holds all of these. `hint` is the
    active profile that a reserved identifier points at: the weakest pointer of all, heeded only if
    no identifier is known. With neither keys nor hint there is nothing to resolve: ValueError.
    """
    if not keys and hint is None:
        raise ValueError("nothing to resolve: no usable identifier")
    counted = list(keys)
    demoted: list[Demoted] = []
    while True:
        found = sorted({owners[key] for key in counted if key in owners})
        new = [key for key in counted if key not in owners]
        hinted = not found and hint is not None
        candidates = [hint] if hinted and hint is not None else found
        broken = _broken_rule(
            new, [profiles[one] for one in candidates], occurred_at=occurred_at, rules=rules
        )
        if broken is None:
            break
        if hinted:
            hint = None
            continue
        demoted.append(Demoted(counted.pop(), broken))
    room = rules.max_identifiers - sum(profiles[one].size for one in candidates)
    if len(new) > room:
        room = max(room, 0)
        return Resolution(candidates, counted, new[:room], demoted, new[room:])
    return Resolution(candidates, counted, new, demoted)


def broken_by_union(
    candidates: Sequence[Candidate], *, at: str, rules: IdentityRules
) -> Broken | None:
    """The first rule that making one profile of these would break; None when it breaks none."""
    return _broken_rule([], candidates, occurred_at=at, rules=rules)


def _broken_rule(
    new: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    occurred_at: str,
    rules: IdentityRules,
) -> Broken | None:
    """The first rule that the union of candidates and new identifiers would break."""
    if len(candidates) > 1:
        if sum(one.n_merges for one in candidates) + len(candidates) - 1 > rules.max_merges:
            return "cap"
        if sum(one.size for one in candidates) > rules.max_identifiers:
            return "cap"
    elif not new or _first_of_their_type(new, candidates):
        return None
    for name in _types_that_grow(new, candidates):
        broken = _broken_limit(rules.of(name), new, candidates, occurred_at)
        if broken is not None:
            return broken
    return None


def _first_of_their_type(new: Sequence[str], candidates: Sequence[Candidate]) -> bool:
    """Whether each new identifier is the only one of its type: that never breaks a rule."""
    names = {key.partition("\0")[0] for key in new}
    return len(names) == len(new) and not any(
        one.keys_of(name) for one in candidates for name in names
    )


def _types_that_grow(new: Sequence[str], candidates: Sequence[Candidate]) -> list[str]:
    names = {key.partition("\0")[0] for key in new}
    if len(candidates) > 1:
        for one in candidates:
            names.update(one.types())
    return sorted(names)


def _broken_limit(
    type_: IdentifierType,
    new: Sequence[str],
    candidates: Sequence[Candidate],
    occurred_at: str,
) -> Broken | None:
    start = f"{type_.name}\0"
    fresh = sum(key.startswith(start) for key in new)
    count = fresh + sum(len(one.keys_of(type_.name)) for one in candidates)
    if type_.veto and count > 1:
        return "veto"
    if count <= type_.limit:
        return None
    if type_.within is None:
        return "limit"
    first_seen = (one.first_seen_at(key) for one in candidates for key in one.keys_of(type_.name))
    near = fresh + _near(first_seen, occurred_at, type_.within)
    return "limit" if near > type_.limit else None


def _near(instants: Iterable[str], centre: str, span: timedelta) -> int:
    """How many instants are at most `span` away from the centre, to either side.

    To either side, so that a limit also holds for touchpoints that come late.
    """
    middle = datetime.fromisoformat(centre)
    return sum(abs(datetime.fromisoformat(instant) - middle) <= span for instant in instants)
