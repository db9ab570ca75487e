"""What has to be true of the graph of a journey: it can be walked, and every walk comes to an end.

Between two waits a run walks through nodes in one go. So every circle has to hold a wait that
certainly takes time, or the walk would never end.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.orchestrator.domain.journeys.journey import (
    Awaited,
    Awaiting,
    BusinessDays,
    Lasting,
    Node,
    OnDate,
)
from services.orchestrator.domain.journeys.node_document import ReadNode
from shared.conditions.mistakes import Mistakes, did_you_mean, shown

SHORTEST_IN_CIRCLE = timedelta(minutes=1)
"""What a wait has to last, at least, for a circle to lead through it."""


def takes_time(node: Node) -> bool:
    """Whether nobody ever passes the node in the instant in which they came to it."""
    match node.does:
        case Lasting(length, clock):
            return clock is not None or length >= SHORTEST_IN_CIRCLE
        case Awaiting(what, timeout):
            return isinstance(what, Awaited) and timeout >= SHORTEST_IN_CIRCLE
        case OnDate():
            return node.does.annual
        case BusinessDays():
            return node.does.days > 0
        case _:
            return False


def check_graph(mistakes: Mistakes, read: Sequence[ReadNode]) -> dict[str, Node]:
    """The nodes by id, in their order; what is wrong with the graph is noted."""
    nodes: dict[str, Node] = {}
    for one in read:
        if one.node.id in nodes:
            twice = f"{shown(one.node.id)} stands twice"
            mistakes.add(f"{one.path}.id", "unique", twice)
        nodes.setdefault(one.node.id, one.node)
    _check_targets(mistakes, read, nodes)
    _check_replaced(mistakes, read, nodes)
    if nodes:
        reached = _reached(nodes)
        for one in read:
            if one.node.id not in reached:
                mistakes.add(one.path, "unreachable", "no way leads to this node")
        for one in read:
            if one.node.id in _in_circles(nodes):
                endless = "is on a circle without a wait of at least a minute: it would never end"
                mistakes.add(one.path, "endless", endless)
                break
    return nodes


def _check_targets(mistakes: Mistakes, read: Sequence[ReadNode], nodes: Mapping[str, Node]) -> None:
    for one in read:
        for label, target in one.node.leads.items():
            if target not in nodes:
                hint = did_you_mean(target, nodes)
                path = one.places[label]
                mistakes.add(path, "unknown_node", f"there is no node {shown(target)}.{hint}")


def _check_replaced(
    mistakes: Mistakes, read: Sequence[ReadNode], nodes: Mapping[str, Node]
) -> None:
    """A node stands in for one that is gone, and only one node does."""
    seen: set[str] = set()
    for one in read:
        for place, old in enumerate(one.node.replaces):
            path = f"{one.path}.replaces[{place}]"
            if old in nodes:
                mistakes.add(path, "still_there", f"{shown(old)} is a node of this version")
            elif old in seen:
                mistakes.add(path, "unique", f"{shown(old)} is replaced twice")
            seen.add(old)


def _reached(nodes: Mapping[str, Node]) -> set[str]:
    """The nodes to which a way leads, from the first one."""
    todo, reached = [next(iter(nodes))], set[str]()
    while todo:
        id_ = todo.pop()
        if id_ not in reached and id_ in nodes:
            reached.add(id_)
            todo += nodes[id_].leads.values()
    return reached


def _in_circles(nodes: Mapping[str, Node]) -> set[str]:
    """The nodes that are left when those are taken away, again and again, from which no way leads
    on without a wait: they lead into circles."""
    left = {id_ for id_, node in nodes.items() if not takes_time(node)}
    while True:
        ends = {id_ for id_ in left if left.isdisjoint(nodes[id_].leads.values())}
        if not ends:
            return left
        left -= ends
