"""What of a journey is compared: the arms of its experiments' nodes, and its own holdout.

The metric is the goal of the journey. Exposures are kept by `<journey>/<node>`, those to the
holdout by `<journey>/`; no experiment has a slash in its key.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from zlib import crc32

from services.orchestrator.domain.buckets import BUCKETS
from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.experiment import Arm, Experiment, Metric
from services.orchestrator.domain.experiments.exposure import Exposure, Place
from services.orchestrator.domain.experiments.layers import Span
from services.orchestrator.domain.experiments.measure import Measured, Told
from services.orchestrator.domain.experiments.split import Split as Dealt
from services.orchestrator.domain.experiments.split import split
from services.orchestrator.domain.journeys.facts import Exposed, Reached
from services.orchestrator.domain.journeys.journey import Journey, Split

GOAL = "goal"
"""The key of the one metric of a journey."""
SAMPLE = 1_000
"""As many people are seen before a winner is called, as in an experiment that does not say."""
EVERYBODY = (Span(0, BUCKETS),)


def name_of(journey: str, node: str | None) -> str:
    """Under which name exposures to a node, or to the holdout of a journey, are kept."""
    return f"{journey}/{node or ''}"


def phase_of(journey: Journey, node: str | None) -> int | None:
    """A number for how people are split: another salt, layer or weight makes another one. None
    where nobody is."""
    if node is None:
        held = journey.holdout
        return None if held is None else _number(held.salt, held.percent)
    found = split_at(journey, node)
    if found is None:
        return None
    return _number(found.salt, found.layer, *((arm.key, arm.percent) for arm in found.arms))


def split_at(journey: Journey, node: str) -> Split | None:
    """The experiment that a node is; None where there is none."""
    found = journey.nodes.get(node)
    does = None if found is None else found.does
    return does if isinstance(does, Split) and does.exposes else None


def nodes_compared(journey: Journey) -> list[str]:
    """The nodes that are experiments."""
    return [node for node in journey.nodes if split_at(journey, node) is not None]


def goal_of(journey: Journey) -> Metric | None:
    """The goal as a metric; None for a journey without."""
    goal = journey.goal
    if goal is None:
        return None
    return Metric(GOAL, GOAL, None, "conversion", None, goal.within, "higher", None, None, 0.0)


def running_of(journey: Journey, node: str) -> Running | None:
    """The experiment of a node as any other one; None where there is none, or no goal."""
    found, goal, phase = split_at(journey, node), goal_of(journey), phase_of(journey, node)
    if found is None or goal is None or phase is None:
        return None
    experiment = Experiment(
        key=name_of(journey.key, node),
        version=journey.version,
        layer=found.layer,
        salt=found.salt,
        traffic=100.0,
        arms=tuple(Arm(arm.key, arm.percent) for arm in found.arms),
        primary=goal,
        secondary=(),
        guardrails=(),
        sample=SAMPLE,
        min_runtime=timedelta(days=7),
        confidence=0.95,
        stop_on_harm=False,
        apply_winner=False,
    )
    dealt: Dealt = split(experiment.weights)
    return Running(experiment, EVERYBODY, dealt, phase, winner=found.winner)


def exposures_of(journey: Journey, exposed: Iterable[Exposed], told: Told) -> Iterator[Exposure]:
    """The exposures of a person's run that come of the update that is `told`."""
    for one in exposed:
        phase = phase_of(journey, one.node)
        if phase is not None:
            yield Exposure(
                experiment=name_of(journey.key, one.node),
                profile_id=told.profile_id,
                arm=one.arm,
                phase=phase,
                at=told.at,
                seq=told.seq,
                version=journey.version,
                place=Place("journey" if one.node is None else "node", journey.key, one.node),
                of=told.of,
            )


def goals_of(journey: Journey, reached: Iterable[Reached], told: Told) -> Iterator[Measured]:
    """The goal counts for every experiment of the journey and for its holdout."""
    for _ in reached:
        if journey.holdout is not None:
            yield Measured(told, name_of(journey.key, None), GOAL, 1.0)
        for node in nodes_compared(journey):
            yield Measured(told, name_of(journey.key, node), GOAL, 1.0)


def _number(*parts: object) -> int:
    return crc32(repr(parts).encode()) & 0x7FFFFFFF
