"""How a run gets from node to node, in the version that it has to go by."""

from services.orchestrator.domain.journeys.arrive import arrive
from services.orchestrator.domain.journeys.versions import is_same_step
from services.orchestrator.domain.journeys.walk import NODE_REMOVED, Walk
from services.orchestrator.domain.run import Held


def leave(walk: Walk, label: str) -> None:
    """Go on from the node by an edge; later, if there is a pause."""
    if walk.is_paused:
        walk.hold(Held("edge", label))
        return
    walk.note("left", label)
    target = walk.target(label)
    if target is not None:
        go(walk, target)


def go(walk: Walk, target: str) -> None:
    """Come to a node, and walk on until there is something to wait for; later, if there is a
    pause."""
    if walk.is_paused:
        walk.hold(Held("node", target))
        return
    step: str | None = target
    while step is not None:
        node = walk.enter(step)
        label = None if node is None else arrive(walk, node)
        if label is None:
            return
        walk.note("left", label)
        step = walk.target(label)


def put_on(walk: Walk, node: str) -> None:
    """Come to a node that was named, in the version of which the next step is."""
    target = walk.follow_to(node)
    if target is not None:
        go(walk, target)


def settle(walk: Walk) -> None:
    """Let the run go by the version that is live, where it follows that.

    A run on a node that is still there does so at once; what it waits for goes on from when it
    began. On a node that is gone it finishes what it waits for, or leaves, as the version says.
    Whoever was moved to another node during a pause stands on none that matters.
    """
    held = walk.run.held
    nowhere = walk.run.node is None or (held is not None and held.by == "node")
    for version in walk.live.later(walk.run.version):
        if nowhere or is_same_step(walk.node, version.nodes.get(walk.run.node or "")):
            walk.follow(version)
        elif version.journey.removed == "exit":
            walk.end(NODE_REMOVED)
            return
