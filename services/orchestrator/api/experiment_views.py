"""Bodies and answers of experiments."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.domain.experiments.effect import Effect
from services.orchestrator.domain.experiments.intervals import Interval
from services.orchestrator.domain.experiments.lift import Lift
from services.orchestrator.domain.experiments.sample_ratio import SampleRatio
from services.orchestrator.domain.experiments.verdict import Outcome
from services.orchestrator.use_cases.count_experiment import Found
from services.orchestrator.use_cases.read_lift import FoundLift


class StopRequest(BaseModel):
    """Which arm is stopped; without one, the whole experiment."""

    model_config = ConfigDict(extra="forbid")

    arm: str | None = Field(None, max_length=100)


class ConcludeRequest(BaseModel):
    """The arm that is for everybody."""

    model_config = ConfigDict(extra="forbid")

    arm: str = Field(max_length=100)


class ConcludeNodeRequest(BaseModel):
    """The arm that takes all who come to a node; null lets the document split them again."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(max_length=100)
    arm: str | None = Field(max_length=100)


class PlanView(BaseModel):
    """How many people are needed in each arm, and in all of them together (`sample`)."""

    in_each_arm: int
    sample: int


class CalledView(BaseModel):
    """The verdict of the first look at which there was one; it stays."""

    outcome: Outcome
    arm: str | None
    why: str
    at: datetime


class StateView(BaseModel):
    """How it runs: its phase and since when, the percent of the layer that it holds, what was
    stopped, who won, and when it was over."""

    phase: int
    phase_at: datetime
    holds: float
    stopped: list[str]
    winner: str | None
    ended: bool
    over_at: datetime | None
    called: CalledView | None


class IntervalView(BaseModel):
    """From where to where; null has no end on that side."""

    low: float | None
    high: float | None


class SampleRatioView(BaseModel):
    """Whether the arms have as many people as their weights say; with the alarm no effect is
    read."""

    p: float
    alarm: bool


class EffectView(BaseModel):
    """An arm against the control: means for each person, their difference with the interval for one
    look at the size fixed before (`fixed`, `p`) and the one for any number of looks
    (`sequential`)."""

    control_people: int
    control_mean: float
    people: int
    mean: float
    difference: float
    fixed: IntervalView
    p: float
    sequential: IntervalView | None
    lift: float | None
    lift_interval: IntervalView | None
    variance_reduction: float
    suspicious: bool


class MetricEffects(BaseModel):
    """The effects of a metric by arm. `findings`: arms whose effect on a secondary metric
    stands."""

    effects: dict[str, EffectView]
    findings: list[str]


class HarmView(BaseModel):
    """An arm that does harm, and in which metric."""

    arm: str
    metric: str


class ReadOutView(BaseModel):
    """What may be said of an experiment. `exposed` are the people of the present phase by arm,
    `mixed` how many are left out for having been in two."""

    experiment: str
    phase: int
    since: datetime
    until: datetime
    exposed: dict[str, int]
    mixed: int
    sample_ratio: SampleRatioView
    metrics: dict[str, MetricEffects]
    outcome: Outcome
    winner: str | None
    why: str
    harms: list[HarmView]
    confidence: float
    called: CalledView | None


class LiftView(BaseModel):
    """What all of it brought: who was reached against who was held out. `added` is the effect for
    all who were reached together."""

    layer: Literal["universal", "rule", "journey"]
    name: str
    percent: float
    metric: str
    held_out: int
    reached: int
    sample_ratio: SampleRatioView
    effect: EffectView | None
    added: float | None
    added_interval: IntervalView | None


class LiftsView(BaseModel):
    """The holdouts that have a metric."""

    until: datetime
    items: list[LiftView]


class ReadOutsView(BaseModel):
    """The experiments of a journey."""

    items: list[ReadOutView]


def read_out_view(found: Found) -> ReadOutView:
    """The read-out as it is shown; effects are left out while the sample ratio gives the alarm."""
    read, counted = found.read, found.counted
    shown = {} if read.sample_ratio.alarm else read.effects
    return ReadOutView(
        experiment=found.key,
        phase=read.phase,
        since=found.since,
        until=found.until,
        exposed=dict(counted.exposed),
        mixed=read.mixed,
        sample_ratio=_ratio(read.sample_ratio),
        metrics={
            metric: MetricEffects(
                effects={arm: _effect(one) for arm, one in effects.items()},
                findings=sorted(arm for key_, arm in read.stand if key_ == metric),
            )
            for metric, effects in shown.items()
        },
        outcome=read.verdict.outcome,
        winner=read.verdict.arm,
        why=read.verdict.why,
        harms=[HarmView(arm=one.arm, metric=one.metric) for one in read.verdict.harms],
        confidence=read.confidence,
        called=None if found.called is None else CalledView.model_validate(found.called),
    )


def lift_view(found: FoundLift) -> LiftView:
    """One holdout as it is shown."""
    one: Lift = found.lift
    return LiftView(
        layer=found.layer,
        name=found.name,
        percent=found.percent,
        metric=found.metric,
        held_out=found.held_out,
        reached=found.reached,
        sample_ratio=_ratio(one.sample_ratio),
        effect=None if one.effect is None else _effect(one.effect),
        added=one.added,
        added_interval=_interval(one.added_interval),
    )


def _ratio(ratio: SampleRatio) -> SampleRatioView:
    return SampleRatioView(p=ratio.p, alarm=ratio.alarm)


def _effect(one: Effect) -> EffectView:
    return EffectView(
        control_people=one.control.n,
        control_mean=one.control.mean,
        people=one.arm.n,
        mean=one.arm.mean,
        difference=one.difference,
        fixed=_interval(one.fixed) or IntervalView(low=None, high=None),
        p=one.p,
        sequential=_interval(one.sequential),
        lift=one.lift,
        lift_interval=_interval(one.lift_interval),
        variance_reduction=one.reduction,
        suspicious=one.suspicious,
    )


def _interval(found: Interval | None) -> IntervalView | None:
    if found is None:
        return None
    low, high = (None if abs(end) == float("inf") else end for end in found)
    return IntervalView(low=low, high=high)
