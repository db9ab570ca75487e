"""The decision on `decisions`: every candidate, why each was dropped, what was chosen."""

from typing import Any

import msgspec


class CandidateDetail(msgspec.Struct, gc=False, kw_only=True):
    """The clause that decided: the condition in words, what it wanted and what it saw."""

    condition: str
    expected: Any = None
    actual: Any = None


class CandidateScore(msgspec.Struct, gc=False, kw_only=True):
    """P x C x V x L minus cost, in money."""

    p: float
    c: float
    v: float
    l: float  # noqa: E741  the field's name on the wire: the lever of P x C x V x L
    cost: float
    total: float


class CandidateAction(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One action of a candidate: planned with an id and an instant, or what dropped it."""

    index: int
    channel: str
    stage: str
    reason: str
    detail: CandidateDetail | None = None
    action_id: str | None = None
    due_at: str | None = None
    waits_for: str | None = None


class HoldoutExposure(msgspec.Struct, gc=False, kw_only=True):
    """On which side of a holdout the person is, whichever it is: the buckets below `percent` of
    10,000 are held out. The `layer` is `rule` or `universal`."""

    layer: str
    salt: str
    percent: float
    bucket: int
    held_out: bool


class Candidate(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One rule that was considered, the stage it reached, and the reason it stopped there."""

    rule: str
    version: int
    stage: str
    passed: bool
    reason: str
    detail: CandidateDetail | None = None
    score: CandidateScore | None = None
    actions: list[CandidateAction] = []
    holdouts: list[HoldoutExposure] = []


class Retraction(msgspec.Struct, gc=False, kw_only=True):
    """An action that was taken back, and why."""

    action_id: str
    reason: str


class DecisionZone(msgspec.Struct, gc=False, kw_only=True):
    """The time zone that quiet hours and calendar caps went by, and where it was found: `profile`,
    `country` or `default`."""

    name: str
    source: str


class Decision(msgspec.Struct, gc=False, kw_only=True):
    """The record of one arbitration; replaying it gives the same answer."""

    id: str
    profile_id: str
    profile_version: int
    touchpoint_id: str | None
    at: str
    candidates: list[Candidate]
    outcome: str
    action_ids: list[str]
    retracts: list[Retraction]
    versions: dict[str, int]
    sentence: str
    zone: DecisionZone | None = None


decision_encoder = msgspec.json.Encoder()
decision_decoder = msgspec.json.Decoder(Decision)
