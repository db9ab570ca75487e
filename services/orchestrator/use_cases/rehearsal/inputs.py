"""What a rehearsal goes by, kept as it was when it was asked for, to begin anew at any time."""

import zlib
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage.configuration import Stored
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.journey_versions import StoredJourney
from services.orchestrator.use_cases.load_ruleset import Compiler
from shared.postgres.drafts import Body, Version

DRAFTED = "the draft"
"""Who published a draft that is only rehearsed."""
LEVEL = 6


class Inputs(msgspec.Struct):
    """The configuration in force, the draft, and the estimates that both sides go by."""

    kind: str
    key: str
    body: dict[str, Any]
    at: datetime
    live: Stored
    prices: dict[str, float]
    counts: dict[str, dict[tuple[str, str], tuple[int, int]]]
    totals: dict[str, tuple[int, int]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Inputs)


def inputs_of(
    kind: Kind, key: str, body: Body, live: Stored, estimates: Estimates, at: datetime
) -> Inputs:
    """Everything as it is now."""
    return Inputs(
        kind=kind.value,
        key=key,
        body=body,
        at=at,
        live=live,
        prices=dict(estimates.prices),
        counts={rule: dict(counts) for rule, counts in estimates.counts.items()},
        totals=dict(estimates.totals),
    )


def pack(inputs: Inputs) -> bytes:
    """As it is kept."""
    return zlib.compress(_encoder.encode(inputs), LEVEL)


def unpack(packed: bytes) -> Inputs:
    """As it was."""
    return _decoder.decode(zlib.decompress(packed))


def rulesets(inputs: Inputs) -> tuple[RuleSet, RuleSet]:
    """What is in force, and the same with the draft in place of what was published of it."""
    estimates = Estimates(inputs.prices, inputs.counts, inputs.totals)
    live, draft = Compiler()(inputs.live), Compiler()(with_draft(inputs))
    return live.learned(estimates), draft.learned(estimates)


def with_draft(inputs: Inputs) -> Stored:
    """The configuration as if the draft had been published."""
    live, key = inputs.live, inputs.key
    match Kind(inputs.kind):
        case Kind.RULE:
            return replace(live, rules=_in_place(live.rules, inputs))
        case Kind.CONTACT_POLICY:
            return replace(live, policies=_in_place(live.policies, inputs))
        case Kind.JOURNEY:
            others = [one for one in live.journeys if one.key != key]
            before = next((one for one in live.journeys if one.key == key), None)
            versions = [] if before is None else before.versions
            winners = {} if before is None else before.winners
            drafted = _next(versions, inputs)  # who entered before is in an earlier one
            own = StoredJourney(key, drafted.version, False, winners, [*versions, drafted])
            return replace(live, journeys=sorted([*others, own], key=lambda one: one.key))
        case Kind.EXPERIMENT:
            raise ValueError("an experiment is no draft that a rehearsal puts in place")


def _in_place(versions: list[Version], inputs: Inputs) -> list[Version]:
    others = [one for one in versions if one.key != inputs.key]
    own = [one for one in versions if one.key == inputs.key]
    return sorted([*others, _next(own, inputs)], key=lambda one: one.key)


def _next(before: list[Version], inputs: Inputs) -> Version:
    number = 1 + max((one.version for one in before), default=0)
    return Version(inputs.key, number, inputs.body, inputs.at, DRAFTED)
