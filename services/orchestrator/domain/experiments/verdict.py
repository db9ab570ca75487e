"""What follows from a read-out: go on, stop an arm that does harm, or call it.

Harm is judged at every look, by the sequential intervals, and told apart from chance however often
one looks. The winner is called once, by the fixed intervals, at the size that was fixed before:
looking earlier and stopping when it looks good would find winners where there are none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from services.orchestrator.domain.experiments.effect import Effect
from services.orchestrator.domain.experiments.experiment import Better, Experiment, Metric

Outcome = Literal["blocked", "running", "winner", "no_difference"]


@dataclass(frozen=True, slots=True)
class Harm:
    """An arm that is worse than the control by more than is tolerated, and in which metric."""

    arm: str
    metric: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` says where it stands; `arm` is who won. `harms` may come with any outcome. `why` is
    a sentence."""

    outcome: Outcome
    arm: str | None
    harms: tuple[Harm, ...]
    why: str


def harms(experiment: Experiment, found: Mapping[str, Mapping[str, Effect]]) -> list[Harm]:
    """The arms that are worse by the sequential interval, in the primary metric or a guardrail;
    `found` has the effects by metric, then by arm."""
    return [
        Harm(arm, metric.key)
        for metric in (experiment.primary, *experiment.guardrails)
        for arm, effect in found.get(metric.key, {}).items()
        if _is_harm(metric, effect)
    ]


def call(
    experiment: Experiment,
    effects: Mapping[str, Effect],
    *,
    seen: int,
    long_enough: bool,
    mismatch: bool,
    done: Sequence[Harm],
) -> Verdict:
    """The verdict on the effects of the primary metric; `seen` people are behind them, `done` is
    the harm that was found, `mismatch` the alarm of the sample ratio."""
    harmful = {harm.arm for harm in done}
    found = tuple(done)
    if mismatch:
        why = "the arms have not as many people as their weights say: no effect can be read"
        return Verdict("blocked", None, found, why)
    if seen < experiment.sample:
        why = f"{seen} of {experiment.sample} people have been seen for the whole window"
        return Verdict("running", None, found, why)
    if not long_enough:
        why = f"it has not run for {experiment.min_runtime.days} days yet"
        return Verdict("running", None, found, why)
    better = experiment.primary.better
    winners = [
        arm
        for arm, effect in effects.items()
        if arm not in harmful and gain(better, effect.fixed.low, effect.fixed.high) > 0.0
    ]
    if not winners:
        why = f"no arm is better than {experiment.control} beyond chance"
        return Verdict("no_difference", None, found, why)
    best = max(winners, key=lambda arm: (_gain(better, effects[arm]), arm))
    metric = experiment.primary.key
    why = f"{best} is better than {experiment.control} in {metric} beyond chance"
    return Verdict("winner", best, found, why)


def gain(better: Better, low: float, high: float) -> float:
    """The least that an interval says is gained; below 0 where it may be a loss."""
    return low if better == "higher" else -high


def discoveries(p: Mapping[tuple[str, str], float], rate: float) -> frozenset[tuple[str, str]]:
    """Which of several findings stand when at most `rate` of those that stand may be chance
    (Benjamini & Hochberg 1995, JRSS B 57:289-300)."""
    ranked = sorted(p, key=lambda one: p[one])
    stand = 0
    for rank, one in enumerate(ranked, start=1):
        if p[one] <= rate * rank / len(ranked):
            stand = rank
    return frozenset(ranked[:stand])


def _gain(better: Better, effect: Effect) -> float:
    return effect.difference if better == "higher" else -effect.difference


def _is_harm(metric: Metric, effect: Effect) -> bool:
    if effect.sequential is None:
        return False
    low, high = effect.sequential
    return (high if metric.better == "higher" else -low) < -metric.tolerance
