"""Which of several observed values of a trait survives, and why.

What each source said last about a trait is kept, per anchor identifier, as one `Saying` for each
touchpoint that still has the last word on something. The survivor is the greatest by (verified,
source priority, occurred_at, source, touchpoint id, value). Taking the greatest is commutative,
associative and idempotent, so neither order, duplicates nor replays can change a profile; nothing
here may depend on what came first.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

MAX_NAME = 128
MAX_VALUE_BYTES = 2048
MAX_TRAITS = 200
"""Traits per anchor, and per profile when shown: the first by name, which is a join as well."""

CONTEXT_TIMEZONE = "$context.timezone"
"""Kept like a trait but not shown as one: the zone that the customer's device reported."""

REMOVED = b"null"
"""The value of a trait that was removed: an observation like any other, so it can win or lose."""


RECTIFICATION = "rectification"
"""The source of what a person had corrected: no other source, verified or not, outdoes it."""


class Saying(msgspec.Struct, array_like=True, gc=False):
    """What one touchpoint said that its source has not outdone: trait name -> canonical JSON."""

    source: str
    occurred_at: str
    touchpoint_id: str
    verified: bool
    values: dict[str, bytes]


Observations = list[Saying]
"""One of these hangs on each anchor; a source has at most one value of a trait in it."""


@dataclass(frozen=True, slots=True)
class TraitPolicy:
    """How much sources are trusted. A smaller number is a stronger source; unknown ones are last.

    What a verified source states is verified.
    """

    source_priority: Mapping[str, int] = field(default_factory=dict)
    verified_sources: frozenset[str] = frozenset()
    default_priority: int = 100

    def priority(self, source: str) -> int:
        if source == RECTIFICATION:
            return -(2**31)
        return self.source_priority.get(source, self.default_priority)


Rule = Literal["only_value", "verified", "source_priority", "most_recent", "tie_break"]


class RunnerUp(NamedTuple):
    """A value that did not survive. Times are RFC 3339 UTC; None means the trait was removed.
    `refused` says why it could not survive at all."""

    value: Any
    source: str
    observed_at: str
    refused: str | None = None


class Provenance(NamedTuple):
    """Where a trait's value comes from, and the rule by which it won over the next best. Where no
    value survived it is None, of the one who spoke last, and the rule says why."""

    value: Any
    source: str
    observed_at: str
    rule: str
    runners_up: tuple[RunnerUp, ...]


class Candidate(NamedTuple):
    """A value of trait `name` as it is compared with others of it; the greatest one survives."""

    verified: bool
    trust: int
    occurred_at: str
    source: str
    touchpoint_id: str
    value: bytes
    name: str


Best = dict[str, Candidate]
"""The survivor of each trait, by its name."""

MAX_RUNNERS_UP = 10
_ENCODE = msgspec.json.Encoder(order="deterministic").encode
_DECODE = msgspec.json.Decoder().decode


def canonical(value: Any) -> bytes:
    """A trait's value as JSON with sorted keys: equal values are equal bytes."""
    return _ENCODE(value)


def usable_values(traits: Mapping[str, Any]) -> dict[str, bytes]:
    """The traits that a touchpoint states, as they are kept; those with an overlong name or value,
    and names that only we use, are left out."""
    values: dict[str, bytes] = {}
    for name, value in traits.items():
        encoded = canonical(value)
        if len(name) <= MAX_NAME and len(encoded) <= MAX_VALUE_BYTES and name != CONTEXT_TIMEZONE:
            values[name] = encoded
    return values


def observe(heard: Observations, said: Saying) -> bool:
    """Add what a touchpoint said, in place; False if its source has outdone all of it already.

    Values that it outdoes are forgotten. Above MAX_TRAITS only what was rectified and the
    first names are kept.
    """
    values = dict(sorted(said.values.items()))
    for old in heard:
        if old.source != said.source:
            continue
        for name in old.values.keys() & values.keys():
            if _order(said, values[name]) <= _order(old, old.values[name]):
                del values[name]
            else:
                del old.values[name]
    heard.append(Saying(said.source, said.occurred_at, said.touchpoint_id, said.verified, values))
    if sum(len(one.values) for one in heard) > MAX_TRAITS:
        _keep_the_first(heard)
    heard[:] = [one for one in heard if one.values]
    return bool(values)


def withdraw(heard: Observations, names: Collection[str]) -> None:
    """Forget, in place, what was said of these traits."""
    for said in heard:
        for name in said.values.keys() & set(names):
            del said.values[name]
    heard[:] = [one for one in heard if one.values]


class Correction(NamedTuple):
    """When a trait was rectified (RFC 3339 UTC), and the value it has since."""

    at: str
    value: bytes

    def covers(self, occurred_at: str) -> bool:
        """Whether what was said of the trait at this instant is not kept."""
        return occurred_at <= self.at


Corrections = dict[str, Correction]
"""By the name of the trait."""


def corrected(anchors: Iterable[Observations]) -> Corrections:
    """The traits that were rectified: what was said of them until then is not kept."""
    found: Corrections = {}
    for heard in anchors:
        for said in heard:
            if said.source == RECTIFICATION:
                for name, value in said.values.items():
                    one = Correction(said.occurred_at, value)
                    found[name] = max(one, found.get(name, one))
    return found


def both(mine: Corrections, theirs: Corrections) -> Corrections:
    """What was rectified of two profiles that are united: of one trait, the later holds."""
    found = dict(mine)
    for name, one in theirs.items():
        found[name] = max(one, found.get(name, one))
    return found


def candidates(anchors: Iterable[Observations], policy: TraitPolicy) -> Iterator[Candidate]:
    """Every value of every trait, with the trust its source has."""
    for heard in anchors:
        for said in heard:
            trust = -policy.priority(said.source)
            for name, value in said.values.items():
                yield Candidate(
                    said.verified,
                    trust,
                    said.occurred_at,
                    said.source,
                    said.touchpoint_id,
                    value,
                    name,
                )


def survivors(anchors: Iterable[Observations], policy: TraitPolicy) -> Mapping[str, bytes]:
    """The surviving value of each trait over all anchors; removed traits are among them.

    What a single touchpoint said needs no comparing; that is most profiles.
    """
    heard = [said for heard in anchors for said in heard]
    if len(heard) == 1:
        return heard[0].values
    best: Best = {}
    contest(best, heard, policy)
    return values_of(best)


def contest(best: Best, heard: Iterable[Saying], policy: TraitPolicy) -> None:
    """Let the greater value of each trait win, in place."""
    for said in heard:
        source, occurred_at, touchpoint_id, verified, values = (
            said.source, said.occurred_at, said.touchpoint_id, said.verified, said.values
        )  # fmt: skip
        trust = -policy.priority(source)
        weight = (verified, trust, occurred_at, source, touchpoint_id)
        for name, value in values.items():
            held = best.get(name)
            if held is None or (*weight, value, name) > held:
                best[name] = Candidate(*weight, value, name)


def challenge(best: Best, others: Best) -> None:
    """Let the greater of each trait win, in place."""
    for name, other in others.items():
        held = best.get(name)
        if held is None or other > held:
            best[name] = other


def values_of(best: Best) -> dict[str, bytes]:
    """The surviving values by the names of their traits."""
    return {name: one.value for name, one in best.items()}


def provenance(anchors: Iterable[Observations], policy: TraitPolicy) -> dict[str, Provenance]:
    """For each trait that is there: its value, where it comes from and what it won over."""
    by_name: dict[str, list[Candidate]] = {}
    for one in candidates(anchors, policy):
        by_name.setdefault(one.name, []).append(one)
    explained = {}
    for name in sorted(by_name):
        ranked = sorted(by_name[name], reverse=True)
        if ranked[0].value != REMOVED:
            explained[name] = _explain(ranked)
    return explained


def _explain(ranked: list[Candidate]) -> Provenance:
    best, rest = ranked[0], [other for other in ranked[1:] if other.value != ranked[0].value]
    return Provenance(
        _DECODE(best.value),
        best.source,
        best.occurred_at,
        _winning_rule(best, rest[0] if rest else None),
        tuple(
            RunnerUp(_DECODE(other.value), other.source, other.occurred_at)
            for other in rest[:MAX_RUNNERS_UP]
        ),
    )


def _winning_rule(best: Candidate, next_best: Candidate | None) -> Rule:
    if next_best is None:
        return "only_value"
    if best.verified != next_best.verified:
        return "verified"
    if best.trust != next_best.trust:
        return "source_priority"
    return "most_recent" if best.occurred_at != next_best.occurred_at else "tie_break"


def _keep_the_first(heard: Observations) -> None:
    """Keep what was rectified and of the others the first names, MAX_TRAITS in all: which ones
    these are does not depend on what came first."""
    rectified = {name for said in heard if said.source == RECTIFICATION for name in said.values}
    others = sorted({name for said in heard for name in said.values} - rectified)
    kept = set((sorted(rectified) + others)[:MAX_TRAITS])
    for said in heard:
        for name in said.values.keys() - kept:
            del said.values[name]


def _order(said: Saying, value: bytes) -> tuple[bool, str, str, bytes]:
    return (said.verified, said.occurred_at, said.touchpoint_id, value)
