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


class Retraction(msgspec.Struct, gc=False, kw_only=True):
    """An action that was taken back, and why."""

    action_id: str
    reason: str


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


decision_encoder = msgspec.json.Encoder()
decision_decoder = msgspec.json.Decoder(Decision)
