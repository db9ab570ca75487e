"""The decision on `decisions`: every candidate, why each was dropped, what was chosen."""

from typing import Any

import msgspec


class CandidateDetail(msgspec.Struct, gc=False, kw_only=True):
    """The clause that decided: the condition in words, what it wanted and what it saw."""

    condition: str
    expected: Any = None
    actual: Any = None


class ResourceCost(msgspec.Struct, gc=False):
    """So much of a scarce resource, and what one of it was worth at that moment, in money."""

    resource: str
    amount: float
    price: float


class PropensityParts(msgspec.Struct, gc=False):
    """Where the propensity comes from: the mean of Beta(alpha, beta), `learned` or `stated`."""

    alpha: float
    beta: float
    source: str


class CandidateScore(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """P x C x V x L minus cost, in money; with `customer`, that is weighed against the customer's
    own gain. `probability` is how likely the choice was to fall on it; without exploration 0 or 1.
    """

    p: float
    c: float
    v: float
    l: float  # noqa: E741  the field's name on the wire: the lever of P x C x V x L
    cost: float
    total: float
    costs: list[ResourceCost] = []
    customer: float | None = None
    customer_weight: float | None = None
    propensity: PropensityParts | None = None
    probability: float | None = None


class CandidateAction(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One option of an action of a candidate: planned with an id and an instant, or what dropped
    it. Option 0 is the action itself, n its n-th fallback."""

    index: int
    channel: str
    stage: str
    reason: str
    detail: CandidateDetail | None = None
    action_id: str | None = None
    due_at: str | None = None
    waits_for: str | None = None
    option: int = 0


class HoldoutExposure(msgspec.Struct, gc=False, kw_only=True):
    """On which side of a holdout the person is, whichever it is: the buckets below `percent` of
    10,000 are held out. The `layer` is `rule` or `universal`."""

    layer: str
    salt: str
    percent: float
    bucket: int
    held_out: bool


class ExperimentArm(msgspec.Struct, gc=False, kw_only=True):
    """The arm of the person in the experiment that the rule is part of, and why: by the `split`;
    `outside` of those who take part; their own was `stopped`; the `winner`; or it has `ended`."""

    key: str
    version: int
    phase: int
    arm: str
    why: str


class Candidate(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One rule that was considered, the stage it reached, and the reason it stopped there.

    `touchpoint_id` is there when candidates of several touchpoints were judged together. What a
    node of a journey wanted names the run as well; its rule is `<journey>/<node>`.
    """

    rule: str
    version: int
    stage: str
    passed: bool
    reason: str
    detail: CandidateDetail | None = None
    score: CandidateScore | None = None
    actions: list[CandidateAction] = []
    touchpoint_id: str | None = None
    holdouts: list[HoldoutExposure] = []
    experiment: ExperimentArm | None = None
    journey: str | None = None
    node: str | None = None
    run: str | None = None


class Retraction(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """An action that was taken back, and why; whether its channel had it (`published`, then a
    message follows) or nobody (`pending`)."""

    action_id: str
    reason: str
    channel: str | None = None
    reached: str | None = None


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
