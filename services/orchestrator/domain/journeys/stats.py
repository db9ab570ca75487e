"""What is shown of a journey's counts: for the whole, and for each node."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.orchestrator.domain.journeys.counts import Count
from services.orchestrator.domain.journeys.journey import REFUSALS, SENT
from services.orchestrator.domain.journeys.versions import Place

Words = dict[str, int]
"""How often by the word for it."""


@dataclass(slots=True)
class NodeStats:
    """How many runs came to the node and stand there now, how many actions are on their way to the
    person, were refused and why, what was answered, how many runs left by which edge, and how many
    reached the goal and give the node the credit."""

    node: str
    entered: int = 0
    waiting: int = 0
    sent: int = 0
    suppressed: Words = field(default_factory=dict)
    responded: Words = field(default_factory=dict)
    converted: int = 0
    left: Words = field(default_factory=dict)


@dataclass(slots=True)
class Stats:
    """How many runs there were and are, how many stand aside for another run of the same person
    (`merged`), why they ended, and how many reached the goal. Over all time, who entered is under
    way, stands aside or ended."""

    entered: int = 0
    under_way: int = 0
    merged: int = 0
    ended: Words = field(default_factory=dict)
    converted: int = 0
    nodes: list[NodeStats] = field(default_factory=list)


def stats_of(
    counts: Mapping[Count, int], places: Mapping[Place, int], nodes: Iterable[str]
) -> Stats:
    """The figures; `nodes` are those of the live version, in their order, which others follow."""
    whole = Stats(under_way=sum(places.values()))
    by_node = {node: NodeStats(node) for node in nodes}
    waiting: dict[str, int] = defaultdict(int)
    for (_, node), runs in places.items():
        waiting[node or ""] += runs
    others = {node for node, _, _ in counts} | waiting.keys()
    for node in sorted(others - by_node.keys() - {""}):
        by_node[node] = NodeStats(node)
    for (node, kind, word), n in sorted(counts.items()):
        if node:
            _add(by_node[node], kind, word, n)
        elif kind == "entered":
            whole.entered += n
        elif kind == "ended":
            whole.ended[word] = whole.ended.get(word, 0) + n
        elif kind == "aside":
            whole.merged += n
        elif kind == "aside_over":
            whole.merged -= n
        elif kind == "goal":
            whole.converted += n
    for one in by_node.values():
        one.waiting = waiting[one.node]
    whole.nodes = list(by_node.values())
    return whole


def _add(one: NodeStats, kind: str, word: str, n: int) -> None:
    match kind:
        case "arrived":
            one.entered += n
        case "goal":
            one.converted += n
        case "left":
            one.left[word] = one.left.get(word, 0) + n
        case "answered" if word == SENT:
            one.sent += n
        case "answered" if word in REFUSALS:
            one.suppressed[word] = one.suppressed.get(word, 0) + n
        case "answered":
            one.responded[word] = one.responded.get(word, 0) + n
        case _:
            pass  # what operators and merges did is in the logs of the runs
