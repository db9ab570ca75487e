"""What an answer does to a run that waits for it: of the arbiter, of a channel, of a throttle."""

from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.journeys.journey import (
    LATE,
    NEXT,
    REFUSALS,
    SENT,
    Act,
    Node,
    Spacing,
)
from services.orchestrator.domain.journeys.steps import leave
from services.orchestrator.domain.journeys.walk import Walk
from services.orchestrator.domain.outcome import LOST
from services.orchestrator.domain.run import Touch, effect_id
from shared.contracts.delivery import OUTCOMES


def answer(walk: Walk, action_id: UUID, said: str) -> None:
    """What became of the action the run stands at; of any other action it changes nothing.

    The run goes by the edge of that name. Without one, it goes on once it is clear that no other
    answer will come that has an edge; or it ends, where the node says so, when nothing came of the
    action.
    """
    run, node = walk.run, walk.node
    if node is None or run.node is None or not isinstance(node.does, Act):
        return
    if run.held is not None or action_id != effect_id(run.id, run.node, run.occurrence):
        return
    lost = said in REFUSALS or said in LOST
    if said == SENT:
        _touch(walk)
    elif lost or said in node.leads:
        walk.note("answered", said)
    if said in node.leads:
        leave(walk, said)
    elif lost and node.does.stops:
        walk.end(said)
    elif lost or (said == SENT and not _waits_for_outcome(node)):
        leave(walk, NEXT if NEXT in node.leads else said)


def place(walk: Walk, occurrence: int, at: datetime) -> None:
    """When the run may pass the throttle it stands at; a second place changes nothing."""
    run, node = walk.run, walk.node
    if node is None or not isinstance(node.does, Spacing):
        return
    if run.occurrence != occurrence or run.due is not None or run.held is not None:
        return
    if run.since is not None and at - run.since > node.does.max_wait:
        if LATE in node.leads:
            leave(walk, LATE)
        else:
            walk.end("throttled")
    elif at <= walk.now:
        leave(walk, NEXT)
    else:
        walk.rest(at)


def _waits_for_outcome(node: Node) -> bool:
    return any(outcome in node.leads for outcome in OUTCOMES)


def _touch(walk: Walk) -> None:
    """The node reached the person: noted once. A later step is the last touch, whenever it is
    told."""
    run = walk.run
    if run.node is None:
        return
    touch = Touch(run.node, run.occurrence)
    if touch != run.last_touch:
        walk.note("answered", SENT)
    walk.change(
        first_touch=run.first_touch or touch,
        last_touch=touch,
        touched=run.touched | {run.node},
    )
