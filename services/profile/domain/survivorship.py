"""Which of several observed values of a trait survives, and why.

Every value a source ever stated last is kept, per anchor identifier and source. The survivor is
the greatest by (verified, source priority, occurred_at, source, touchpoint id, value). Taking the
greatest is commutative, associative and idempotent, so neither order, duplicates nor replays can
change a profile; nothing here may depend on what came first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

MAX_NAME = 128
MAX_VALUE_BYTES = 2048
MAX_TRAITS = 200
"""Traits per anchor, and per profile when shown: the first by name, which is a join as well."""

REMOVED = b"null"
"""The value of a trait that was removed: an observation like any other, so it can win or lose."""


class Observation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one touchpoint said about a trait. `value` is canonical JSON."""

    occurred_at: str
    touchpoint_id: str
    value: bytes
    verified: bool = False


Observations = dict[str, dict[str, Observation]]
"""Trait name -> source -> what that source said last. One of these hangs on each anchor."""


@dataclass(frozen=True, slots=True)
class TraitPolicy:
    """How much sources are trusted. A smaller number is a stronger source; unknown ones are last.

    What a verified source states is verified.
    """

    source_priority: Mapping[str, int] = field(default_factory=dict)
    verified_sources: frozenset[str] = frozenset()
    default_priority: int = 100

    def priority(self, source: str) -> int:
        return self.source_priority.get(source, self.default_priority)


Rule = Literal["only_value", "verified", "source_priority", "most_recent", "tie_break"]


class RunnerUp(NamedTuple):
    """A value that did not survive. Times are RFC 3339 UTC; None means the trait was removed."""

    value: Any
    source: str
    observed_at: str


class Provenance(NamedTuple):
    """Where a trait's value comes from, and the rule by which it won over the next best."""

    value: Any
    source: str
    observed_at: str
    rule: Rule
    runners_up: tuple[RunnerUp, ...]


class Candidate(NamedTuple):
    """An observation as it is compared; the greatest one survives."""

    verified: bool
    trust: int
    occurred_at: str
    source: str
    touchpoint_id: str
    value: bytes


MAX_RUNNERS_UP = 10
_ENCODE = msgspec.json.Encoder(order="deterministic").encode
_DECODE = msgspec.json.Decoder().decode


def canonical(value: Any) -> bytes:
    """A trait's value as JSON with sorted keys: equal values are equal bytes."""
    return _ENCODE(value)


def observe(observations: Observations, name: str, source: str, observation: Observation) -> bool:
    """Add an observation in place; False if it is already outdone by what the source said."""
    by_source = observations.get(name)
    if by_source is None:
        if len(observations) >= MAX_TRAITS and not _make_room(observations, name):
            return False
        observations[name] = {source: observation}
        return True
    held = by_source.get(source)
    if held is not None and _order(observation) <= _order(held):
        return False
    by_source[source] = observation
    return True


def candidate(policy: TraitPolicy, source: str, observation: Observation) -> Candidate:
    """The observation with the trust its source has."""
    return Candidate(
        observation.verified,
        -policy.priority(source),
        observation.occurred_at,
        source,
        observation.touchpoint_id,
        observation.value,
    )


def survivors(anchors: Iterable[Observations], policy: TraitPolicy) -> dict[str, Candidate]:
    """The greatest candidate of each trait over all anchors; removed traits are among them."""
    best: dict[str, Candidate] = {}
    for observations in anchors:
        for name, by_source in observations.items():
            for source, observation in by_source.items():
                challenger = candidate(policy, source, observation)
                held = best.get(name)
                if held is None or challenger > held:
                    best[name] = challenger
    return best


def provenance(anchors: Iterable[Observations], policy: TraitPolicy) -> dict[str, Provenance]:
    """For each trait that is there: its value, where it comes from and what it won over."""
    candidates: dict[str, list[Candidate]] = {}
    for observations in anchors:
        for name, by_source in observations.items():
            candidates.setdefault(name, []).extend(
                candidate(policy, source, observation) for source, observation in by_source.items()
            )
    explained = {}
    for name in sorted(candidates):
        ranked = sorted(candidates[name], reverse=True)
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


def _make_room(observations: Observations, name: str) -> bool:
    """Keep the first `MAX_TRAITS` names: drop the last one if `name` comes before it."""
    last = max(observations)
    if name >= last:
        return False
    del observations[last]
    return True


def _order(observation: Observation) -> tuple[bool, str, str, bytes]:
    return (
        observation.verified,
        observation.occurred_at,
        observation.touchpoint_id,
        observation.value,
    )
