"""What all of it brings: those who may be contacted against those who are held out."""

from dataclasses import dataclass

from services.orchestrator.domain.experiments.effect import Effect, effects
from services.orchestrator.domain.experiments.experiment import MetricKind
from services.orchestrator.domain.experiments.intervals import Interval
from services.orchestrator.domain.experiments.sample_ratio import SampleRatio, sample_ratio
from services.orchestrator.domain.experiments.tally import Tally

HELD_OUT = "held_out"
REACHED = "reached"


@dataclass(frozen=True, slots=True)
class Lift:
    """`effect` is for one person. `added` is that for all who were reached together: conversions,
    or money, that would not have been, with its interval. Neither where the sample ratio gives the
    alarm, or one side has fewer than two people."""

    sample_ratio: SampleRatio
    effect: Effect | None
    added: float | None
    added_interval: Interval | None


def lift(
    *, held_out: Tally, reached: Tally, percent: float, kind: MetricKind, confidence: float = 0.95
) -> Lift:
    """The lift over a holdout of so many percent, from the people of both sides who came as far as
    the holdout's gate, whose window is over.

    The sequential interval is tightest at the number of people there are now.
    """
    ratio = sample_ratio(
        {HELD_OUT: held_out.n, REACHED: reached.n}, {HELD_OUT: percent, REACHED: 100.0 - percent}
    )
    alpha = 1.0 - confidence
    effect = effects(
        {HELD_OUT: held_out, REACHED: reached},
        control=HELD_OUT,
        kind=kind,
        planned=max(1, held_out.n + reached.n),
        alpha=alpha,
        alpha_any_time=alpha,
    ).get(REACHED)
    if effect is None or ratio.alarm:
        return Lift(ratio, None, None, None)
    return Lift(ratio, effect, effect.difference * reached.n, effect.fixed.times(reached.n))
