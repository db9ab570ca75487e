"""Small journeys of any shape that is allowed: what the model and the product both understand."""

from typing import Any

from hypothesis import strategies as st

IDS = ("n0", "n1", "n2", "n3", "n4")
EVENTS = ("E", "F", "G")
ANSWERS = ("sent", "no_consent", "capped")
OUTCOMES = ("clicked", "bounced", "opened")
EXITS: list[dict[str, Any]] = [
    {"event": "F", "key": "event.id"}, {"event": "G"}, {"segment": "out"},
]  # fmt: skip
LEAVING = st.lists(st.sampled_from(EXITS), max_size=2)
POLICIES = st.sampled_from(["pin", "follow_live", "follow_live"])
REMOVED = st.sampled_from(["finish", "exit"])
HOURS = st.integers(1, 60)


@st.composite
def documents(draw: st.DrawFn, first: bool = True) -> dict[str, Any]:
    """A journey without a mistake; not the `first` version says what becomes of runs under way."""
    size = draw(st.integers(1, len(IDS)))
    nodes = [draw(_node(place, size)) for place in range(size)]
    nodes.append({"id": "end", "type": "exit"})
    reached = _reached({node["id"]: node for node in nodes})
    nodes = [node for node in nodes if node["id"] in reached]
    document: dict[str, Any] = {
        "category": "service",
        "entry": {"type": "event", "event": "Begin"},
        "re_entry": {"mode": draw(st.sampled_from(["after_exit", "never"])), "key": "event.id"},
        "max_duration": f"PT{draw(st.integers(20, 400))}H",
        "exit_criteria": draw(
st.lists(st.sampled_from(EXITS), max_size=2)        ),
        "nodes": nodes,
    }  # fmt: skip
    if draw(st.booleans()):
        document["goal"] = {
            "event": draw(st.sampled_from(EVENTS)),
            "within": f"PT{draw(st.integers(10, 300))}H",
            "exits": draw(st.booleans()),
        }
    if not first:
        document["version_policy"] = draw(POLICIES)
        document["removed_nodes"] = draw(REMOVED)
        gone = [id_ for id_ in IDS if id_ not in {node["id"] for node in nodes}]
        replaces = draw(st.booleans())
        if gone and replaces:
            nodes[0]["replaces"] = [draw(st.sampled_from(gone))]
    return document


@st.composite
def _node(draw: st.DrawFn, place: int, size: int) -> dict[str, Any]:
    onward = st.sampled_from([*IDS[place + 1 : size], "end"])
    anywhere = st.sampled_from([*IDS[:size], "end"])
    node: dict[str, Any] = {"id": IDS[place]}
    kind = draw(st.sampled_from(["message", "message", "lasting", "event", "segment", "branch",
                                 "set"]))  # fmt: skip
    if kind == "message":
        node |= {"type": "message", "channel": "email", "content": {"body": "x"},
                 "next": draw(onward),
                 "on_failure": draw(st.sampled_from(["continue", "exit"]))}  # fmt: skip
        named = st.sampled_from(["no_consent", "clicked", "bounced"])
        if draw(st.booleans()):
            node["outcomes"] = draw(st.dictionaries(named, onward, min_size=1, max_size=2))
    elif kind == "lasting":
        node |= {"type": "wait", "duration": f"PT{draw(HOURS)}H", "next": draw(anywhere)}
    elif kind == "event":
        until: dict[str, Any] = {"event": draw(st.sampled_from(EVENTS))}
        if draw(st.booleans()):
            until["key"] = "event.id"
        node |= {"type": "wait", "until": until, "timeout": f"PT{draw(HOURS)}H",
                 "next": draw(anywhere), "timeout_next": draw(anywhere)}  # fmt: skip
    elif kind == "segment":
        node |= {"type": "wait", "until": {"segment": "vip"}, "timeout": f"PT{draw(HOURS)}H",
                 "next": draw(onward), "timeout_next": draw(onward)}  # fmt: skip
    elif kind == "branch":
        case = {"when": {"segment": "vip"}, "next": draw(onward)}
        node |= {"type": "branch", "cases": [case], "else": draw(onward)}
    else:
        node |= {"type": "update_profile", "set": {"a": 1}, "next": draw(onward)}
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
            todo += [case["next"] for case in node.get("cases", ())]
    return reached
