"""Which arm somebody is in: a hash alone says so, on every channel, without looking anything up.

The universal holdout stands before it: who is held out of all marketing is not asked for an arm.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.experiments.layers import Traffic, claim, holds, layer_bucket
from services.orchestrator.domain.experiments.split import Split, split
from shared.errors import Conflict

Why = Literal["split", "outside", "stopped", "winner", "ended"]
"""Why somebody is in the arm: by the split; not one of those who take part; their own arm was
stopped; the winner is for everybody; or it ended without one."""


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A published experiment with the buckets it holds. A `phase` is the time between two changes
    of the weights; `stopped` arms did harm; a `winner` is for everybody."""

    experiment: Experiment
    traffic: Traffic
    split: Split
    phase: int = 1
    stopped: frozenset[str] = field(default=frozenset())
    winner: str | None = None
    ended: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it was called or stopped: nobody takes part any more."""
        return self.winner is not None or self.ended


@dataclass(frozen=True, slots=True)
class Assignment:
    """What somebody gets, and why. Only who got it by the split is `exposed`: counted."""

    arm: str
    why: Why
    bucket: int | None = None

    @property
    def exposed(self) -> bool:
        """Whether the person takes part in the comparison."""
        return self.why == "split"


def assign(running: Running, unit: str | None) -> Assignment:
    """The arm of the profile `unit`; who does not take part gets what the control gets. None stands
    for somebody unknown, who takes part in nothing."""
    experiment = running.experiment
    if running.winner is not None:
        return Assignment(running.winner, "winner")
    if running.ended:
        return Assignment(experiment.control, "ended")
    if unit is None or not holds(running.traffic, layer_bucket(experiment.layer, unit)):
        return Assignment(experiment.control, "outside")
    arm, place = running.split.of(experiment.salt, unit)
    if arm in running.stopped:
        return Assignment(experiment.control, "stopped", place)
    return Assignment(arm, "split", place)


def publish(experiment: Experiment, previous: Running | None, others: Iterable[Running]) -> Running:
    """The experiment with its buckets, beside all `others` that are published.

    Of the `previous` version it keeps as many people where they are as it can. Another split or
    another question begins a new phase: only who is exposed first in it is counted. Arms that were
    stopped stay stopped; but what was over begins anew. Raises Conflict when the layer is full, or
    the salt is another's.
    """
    live = [one for one in others if not one.is_over]
    for one in live:
        if one.experiment.salt == experiment.salt:
            raise Conflict(
                f"the salt {experiment.salt} is that of {one.experiment.key} too: the arms of both"
                " would be the same people"
            )
    layer = {
        one.experiment.key: one.traffic for one in live if one.experiment.layer == experiment.layer
    }
    if previous is None:
        traffic = claim(experiment.traffic, (), layer)
        return Running(experiment, traffic, split(experiment.weights))
    was = previous.experiment
    own = previous.traffic if was.layer == experiment.layer else ()
    traffic = claim(experiment.traffic, own, layer)
    dealt = split(experiment.weights, previous.split if was.salt == experiment.salt else None)
    same = _question(was) == _question(experiment) and dealt == previous.split
    if previous.is_over:
        return Running(experiment, traffic, dealt, previous.phase + 1)
    stopped = previous.stopped & frozenset(experiment.weights)
    return Running(experiment, traffic, dealt, previous.phase + (not same), stopped)


def _question(one: Experiment) -> tuple[object, ...]:
    """What must not change while it is being answered. Who takes part may grow."""
    return (one.layer, one.salt, one.control, one.primary, one.sample, one.confidence)
