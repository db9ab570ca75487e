"""The read-out of an experiment: from what was counted to what may be said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.effect import Effect, effects
from services.orchestrator.domain.experiments.experiment import Experiment, Metric
from services.orchestrator.domain.experiments.sample_ratio import SampleRatio, sample_ratio
from services.orchestrator.domain.experiments.tally import Tally
from services.orchestrator.domain.experiments.verdict import (
    Verdict,
    call,
    discoveries,
    harms,
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of one phase: the people exposed first in it, by arm, the mixed ones left
    out; how long it has run; and by metric and arm the outcomes of those whose window is over."""

    exposed: Mapping[str, int]
    ran: timedelta
    tallies: Mapping[str, Mapping[str, Tally]]
    mixed: int = 0


@dataclass(frozen=True, slots=True)
class ReadOut:
    """The effects by metric, then by arm. Of the secondary metrics those in `stand` are findings:
    (metric, arm). `confidence` is that of each interval for one look, corrected for the number of
    arms."""

    phase: int
    sample_ratio: SampleRatio
    effects: Mapping[str, Mapping[str, Effect]]
    stand: frozenset[tuple[str, str]]
    verdict: Verdict
    confidence: float
    mixed: int


def read_out(running: Running, counted: Counted) -> ReadOut:
    """What may be said of a running experiment after one phase was counted."""
    experiment = running.experiment
    weights = {
        arm: weight
        for arm, weight in experiment.weights.items()
        if weight > 0.0 and arm not in running.stopped
    }
    ratio = sample_ratio(
        {arm: many for arm, many in counted.exposed.items() if arm not in running.stopped}, weights
    )
    found = {
        metric.key: _effects(experiment, metric, counted.tallies.get(metric.key, {}), weights)
        for metric in experiment.metrics
    }
    primary = counted.tallies.get(experiment.primary.key, {})
    verdict = call(
        experiment,
        found[experiment.primary.key],
        seen=sum(primary[arm].n for arm in weights if arm in primary),
        long_enough=counted.ran >= experiment.min_runtime,
        mismatch=ratio.alarm,
        done=harms(experiment, found),
    )
    tested = {
        (metric.key, arm): effect.p
        for metric in experiment.secondary
        for arm, effect in found[metric.key].items()
    }
    return ReadOut(
        phase=running.phase,
        sample_ratio=ratio,
        effects=found,
        stand=discoveries(tested, 1.0 - experiment.confidence),
        verdict=verdict,
        confidence=1.0 - _alpha(experiment),
        mixed=counted.mixed,
    )


def _effects(
    experiment: Experiment,
    metric: Metric,
    tallies: Mapping[str, Tally],
    weights: Mapping[str, float],
) -> dict[str, Effect]:
    """The effects of the arms that still run. Harm is looked for in the primary metric and in each
    guardrail, so each gets its part of the level."""
    own = {arm: tallies.get(arm, Tally()) for arm in weights}
    alpha = _alpha(experiment)
    return effects(
        own,
        control=experiment.control,
        kind=metric.kind,
        planned=experiment.sample,
        alpha=alpha,
        alpha_any_time=alpha / (1 + len(experiment.guardrails)),
    )


def _alpha(experiment: Experiment) -> float:
    """The level of one comparison: all arms together are wrong as rarely as it says."""
    return (1.0 - experiment.confidence) / (len(experiment.arms) - 1)
