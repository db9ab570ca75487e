"""Reads what holdouts that have a metric brought, and the experiments of a journey."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.experiments.lift import HELD_OUT, REACHED, Lift, lift
from services.orchestrator.domain.experiments.tally import Tally
from services.orchestrator.domain.holdout import RULE, name_of, threshold
from services.orchestrator.domain.journeys import compared
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import tallies

Layer = Literal["universal", "rule", "journey"]
TREATED = "treated"
"""What the arm is called of those whom a journey does not hold out."""


@dataclass(frozen=True, slots=True)
class Measurable:
    """A holdout with what tells what it brings. Exposures are kept by `source` and `phase`."""

    layer: Layer
    name: str
    percent: float
    metric: Metric
    source: str
    phase: int
    reached: str = REACHED


@dataclass(frozen=True, slots=True)
class FoundLift:
    """The lift over one holdout; `name` is its salt, or the key of the journey."""

    layer: Layer
    name: str
    percent: float
    metric: str
    held_out: int
    reached: int
    lift: Lift


def measurable(ruleset: RuleSet) -> Iterator[Measurable]:
    """The holdouts in force that have a metric; the goal is that of a journey."""
    for layer, one in ruleset.holdouts():
        if one.metric is not None:
            shown: Layer = "rule" if layer == RULE else "universal"
            source, phase = name_of(layer, one), threshold(one)
            yield Measurable(shown, one.salt, one.percent, one.metric, source, phase)
    for key, live in sorted(ruleset.journeys.journeys.items()):
        journey = None if live.current is None else live.current.journey
        if journey is None or journey.holdout is None:
            continue
        goal, phase_ = compared.goal_of(journey), compared.phase_of(journey, None)
        if goal is not None and phase_ is not None:
            source, percent = compared.name_of(key, None), journey.holdout.percent
            yield Measurable("journey", key, percent, goal, source, phase_, TREATED)


async def read_lift(tx: AsyncConnection, one: Measurable, until: datetime) -> FoundLift:
    """What a holdout brought up to an instant, of people whose window is over then."""
    found = await tallies.tallies(tx, one.source, one.phase, one.metric, until)
    held_out, reached = found.get(HELD_OUT, Tally()), found.get(one.reached, Tally())
    return FoundLift(
        layer=one.layer,
        name=one.name,
        percent=one.percent,
        metric=one.metric.key,
        held_out=held_out.n,
        reached=reached.n,
        lift=lift(held_out=held_out, reached=reached, percent=one.percent, kind=one.metric.kind),
    )
