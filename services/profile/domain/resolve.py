"""Who is this? Decides whether a touchpoint creates a profile, joins one, or unites several.

The rule is Segment Unify's priority trust: every profile that knows one of the touchpoint's
identifiers is a candidate; while their union would break a rule, the touchpoint's weakest
identifier is set aside (demoted) and the question is asked again. The survivor of a merge is the
smallest profile id. Nothing here changes anything; the answer is a `Resolution`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from services.profile.domain.identity import Broken, IdentifierType, IdentityRules
from shared.contracts.times import parse_rfc3339, rfc3339

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


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

    def first_seen_between(self, type_: str, start: str, end: str) -> int:
        """How many identifiers of a type it holds that were first seen in that time."""

    def holds(self, key: str) -> bool:
        """Whether it holds an identifier."""

    def kept_apart(self) -> Collection[str]:
        """The identifiers that a person said are somebody else's: it may never hold them."""


class Breach(NamedTuple):
    """A rule that a union would break; `type` is the type of identifier it is about, if of one."""

    rule: Broken
    type: str | None = None


class Demoted(NamedTuple):
    """An identifier that was set aside, and the rule that the union would have broken."""

    key: str
    broken: Breach


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


def _broken_rule(
    new: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    occurred_at: str | None,
    rules: IdentityRules,
) -> Breach | None:
    """The first rule that the union of candidates and new identifiers would break."""
    if len(candidates) > 1:
        if sum(one.n_merges for one in candidates) + len(candidates) - 1 > rules.max_merges:
            return Breach("cap")
        if sum(one.size for one in candidates) > rules.max_identifiers:
            return Breach("cap")
        if _is_kept_apart(candidates):
            return Breach("cannot_link")
    elif not new or _first_of_their_type(new, candidates):
        return None
    for name in _types_that_grow(new, candidates):
        broken = _broken_limit(rules.of(name), new, candidates, occurred_at)
        if broken is not None:
            return broken
    return None


def broken_by_union(candidates: Sequence[Candidate], rules: IdentityRules) -> Breach | None:
    """The rule that uniting these profiles by hand would break; limits in a window are not asked,
    for no instant is given."""
    return _broken_rule([], candidates, occurred_at=None, rules=rules)


def _is_kept_apart(candidates: Sequence[Candidate]) -> bool:
    return any(
        other.holds(key)
        for one in candidates
        for key in one.kept_apart()
        for other in candidates
        if other is not one
    )


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
    occurred_at: str | None,
) -> Breach | None:
    start = f"{type_.name}\0"
    fresh = sum(key.startswith(start) for key in new)
    count = fresh + sum(len(one.keys_of(type_.name)) for one in candidates)
    if type_.veto and count > 1:
        return Breach("veto", type_.name)
    if count <= type_.limit:
        return None
    if type_.within is None:
        return Breach("limit", type_.name)
    if occurred_at is None:
        return None
    start, end = _around(occurred_at, type_.within)
    near = fresh + sum(one.first_seen_between(type_.name, start, end) for one in candidates)
    return Breach("limit", type_.name) if near > type_.limit else None


def _around(centre: str, span: timedelta) -> tuple[str, str]:
    """The instants that are `span` away from the centre, to either side.

    To either side, so that a limit also holds for touchpoints that come late. As texts of one form
    they sort as they follow on each other.
    """
    middle = parse_rfc3339(centre)
    start = rfc3339(middle - span) if middle - _FIRST > span else ""
    return start, rfc3339(middle + span) if _LAST - middle > span else "~"
