"""Notes who was in which arm, and on which side of a holdout, when something was decided; and what
people did that counts for it.

It is noted wherever the gate was reached, whatever came of it: what was done depends on the arm.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.experiments.exposure import Exposure, Place
from services.orchestrator.domain.experiments.lift import HELD_OUT, REACHED
from services.orchestrator.domain.experiments.measure import Told
from services.orchestrator.domain.holdout import name_of, threshold
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import ASKED, Moment


def expose(effects: Effects, considered: Iterable[Considered]) -> None:
    """Note the exposures of candidates; of somebody unknown there is none."""
    for one in considered:
        if (one.exposures or one.assigned is not None) and one.situation.moment.seq:
            effects.exposures.extend(_of(one))


def measure(effects: Effects, moment: Moment, ruleset: RuleSet, at: datetime) -> None:
    """Note what the touchpoint of an update counts for; `at` is when, if it does not say."""
    cause = moment.cause
    if cause.type not in ruleset.measures.listens or cause.touchpoint is None:
        return
    told = Told(
        profile_id=moment.profile_id,
        touchpoint_id=cause.touchpoint,
        of=moment.of,
        seq=moment.seq,
        at=moment.occurred or at,
    )
    effects.measured += ruleset.measures.of(moment.facts, told)


def _of(one: Considered) -> Iterator[Exposure]:
    assigned = one.assigned
    if assigned is not None and assigned.exposed:
        yield _exposure(one, assigned.experiment, assigned.arm, assigned.phase, assigned.version)
    for side in one.exposures:
        if side.holdout.metric is not None:
            arm = HELD_OUT if side.held_out else REACHED
            name, phase = name_of(side.layer, side.holdout), threshold(side.holdout)
            yield _exposure(one, name, arm, phase, one.live.rule.version)


def _exposure(one: Considered, name: str, arm: str, phase: int, version: int) -> Exposure:
    situation = one.situation
    moment = situation.moment
    return Exposure(
        experiment=name,
        profile_id=moment.profile_id,
        arm=arm,
        phase=phase,
        at=situation.at,
        seq=moment.seq,
        version=version,
        place=_place(one),
        of=moment.of,
    )


def _place(one: Considered) -> Place:
    """A node's rule is called `<journey>/<node>`."""
    cause = one.situation.moment.cause
    if one.situation.step is not None:
        journey, _, node = one.live.key.partition("/")
        return Place("node", journey, node)
    if cause.kind == ASKED:
        slot = cause.properties.get("slot")
        return Place("touchpoint", cause.channel or "", str(slot))
    return Place("rule", one.live.key)
