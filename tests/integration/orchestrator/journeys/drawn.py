"""Small journeys drawn by a seed: what the naive model and the product both understand."""

from random import Random
from typing import Any

IDS = ("n0", "n1", "n2", "n3", "n4")
EVENTS = ("E", "F", "G")
BEGIN = ("Begin", "Start")
KINDS = (
    *("message", "message", "answered", "answered", "task", "lasting", "lasting", "event", "event"),
    *("segment", "branch", "set", "split"),
)
EXITS: tuple[dict[str, Any], ...] = ({"event": "F"}, {"event": "G"}, {"segment": "out"})
OUTCOMES = {
    "email": ("clicked", "bounced", "opened", "delivered"),
    "call_centre": ("accepted", "opened"),
}
"""What is said of actions, by channel."""


def document(rng: Random, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """A journey without a mistake. One that comes after another one is entered as that is, and
    says what becomes of runs under way."""
    nodes = _nodes(rng)
    keyed = rng.random() < 0.5 if before is None else "key" in before["re_entry"]
    mode = rng.choice(["always", "after_exit", "after_exit", "never"])
    made: dict[str, Any] = {
        "category": "transactional",
        "entry": {"type": "event", "event": rng.choice(BEGIN)} if before is None
        else before["entry"],
        "re_entry": {"mode": mode} | ({"key": "event.id"} if keyed else {}),
        "max_duration": f"PT{rng.randint(60, 300)}H",
        "exit_criteria": _exits(rng, keyed),
        "nodes": nodes,
    }  # fmt: skip
    if rng.random() < 0.4:
        made["goal"] = {
            "event": rng.choice(EVENTS),
            "within": f"PT{rng.randint(10, 200)}H",
            "exits": rng.random() < 0.5,
        }
    if rng.random() < 0.15:
        made["holdout"] = {"percent": 40, "salt": "left-out"}
    if before is not None:
        made["version_policy"] = rng.choice(["pin", "follow_live", "follow_live"])
        made["removed_nodes"] = rng.choice(["finish", "exit"])
        gone = [id_ for id_ in IDS if id_ not in {node["id"] for node in nodes}]
        if gone and rng.random() < 0.5:
            nodes[0]["replaces"] = [rng.choice(gone)]
    return made


def as_told(made: dict[str, Any]) -> dict[str, Any]:
    """The document as the naive model reads it: a task is a message that can be withdrawn."""
    nodes = [
        node | {"type": "message", "withdrawn": True} if node["type"] == "task" else node
        for node in made["nodes"]
    ]
    return made | {"nodes": nodes}


def _exits(rng: Random, keyed: bool) -> list[dict[str, Any]]:
    found = rng.sample(EXITS, rng.choice([0, 0, 1, 2]))
    return [
        one | {"key": "event.id"} if keyed and "event" in one and rng.random() < 0.5 else one
        for one in found
    ]


def _nodes(rng: Random) -> list[dict[str, Any]]:
    size = rng.randint(1, len(IDS))
    made = [_node(rng, place, size) for place in range(size)]
    made.append({"id": "end", "type": "exit", "reason": "completed"})
    reached = _reached({node["id"]: node for node in made})
    return [node for node in made if node["id"] in reached]


def _node(rng: Random, place: int, size: int) -> dict[str, Any]:
    def onward() -> str:
        return rng.choice([*IDS[place + 1 : size], "end"])

    def anywhere() -> str:
        return rng.choice([*IDS[:size], "end"])

    hours = f"PT{rng.randint(1, 40)}H"
    kind = rng.choice(KINDS)
    node: dict[str, Any] = {"id": IDS[place]}
    match kind:
        case "message" | "answered":
            node |= {"type": "message", "channel": "email", "content": {"body": "x"},
                     "next": onward(), "on_failure": rng.choice(["continue", "exit"])}  # fmt: skip
            if kind == "answered":
                names = rng.sample(["clicked", "bounced"], rng.randint(1, 2))
                node["outcomes"] = {name: onward() for name in names}
        case "task":
            node |= {"type": "task", "channel": "call_centre", "queue": "q",
                     "content": {"body": "x"}, "next": onward(), "outcomes": {"accepted": onward()},
                     "on_failure": "continue"}  # fmt: skip
        case "lasting":
            node |= {"type": "wait", "duration": hours, "next": anywhere()}
        case "event":
            node |= {"type": "wait", "until": {"event": rng.choice(EVENTS)}, "timeout": hours,
                     "next": anywhere(), "timeout_next": anywhere()}  # fmt: skip
        case "segment":
            node |= {"type": "wait", "until": {"segment": "vip"}, "timeout": hours,
                     "next": onward(), "timeout_next": onward()}  # fmt: skip
        case "branch":
            case = {"when": {"segment": "vip"}, "next": onward()}
            node |= {"type": "branch", "cases": [case], "else": onward()}
        case "split":
            branches = [{"percent": 50, "next": onward()}, {"percent": 50, "next": onward()}]
            node |= {"type": "split", "salt": "s", "branches": branches}
        case _:
            node |= {"type": "update_profile", "set": {"a": 1}, "next": onward()}
    return node


def _reached(nodes: dict[str, dict[str, Any]]) -> set[str]:
    todo, reached = [next(iter(nodes))], set[str]()
    while todo:
        id_ = todo.pop()
        if id_ not in reached:
            reached.add(id_)
            node = nodes[id_]
            todo += [node[name] for name in ("next", "timeout_next", "else") if name in node]
            todo += [*node.get("outcomes", {}).values()]
            todo += [way["next"] for way in [*node.get("cases", ()), *node.get("branches", ())]]
    return reached
