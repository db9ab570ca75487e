"""Reads the nodes of a journey: what each does, and where it leads."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from services.orchestrator.domain.action_document import ACTION_FIELDS, read_action
from services.orchestrator.domain.buckets import BUCKETS
from services.orchestrator.domain.journeys.journey import (
    ELSE,
    LATE,
    MISSING,
    NEXT,
    PAST,
    REFUSALS,
    TIMEOUT,
    Act,
    Arm,
    Branch,
    Does,
    Emit,
    Jump,
    Leave,
    Node,
    SetTraits,
    Spacing,
    Split,
)
from services.orchestrator.domain.journeys.wait_document import MAX_WAIT, WAIT_FIELDS, read_wait
from services.orchestrator.domain.rule import ACTION_KINDS
from shared.conditions.document import KEY, Fields
from shared.conditions.mistakes import Mistakes, shown
from shared.conditions.tree import Condition
from shared.contracts.delivery import OUTCOMES

MAX_CASES = 20
MAX_ARMS = 20
MAX_TRAITS = 20
MAX_PROPERTIES = 50
MAX_JSON = 8_192
OWN_EVENTS = "concert."
"""How the types of events begin that Concert itself means something by."""
MAX_RATE = 1_000_000
MAX_REPLACED = 20
DEFAULT_PATIENCE = timedelta(days=7)
ANSWERS = (*REFUSALS, *OUTCOMES)
"""What an action may be answered by, and so where it may lead."""

_EDGES = {TIMEOUT: "timeout_next", PAST: "past_next", MISSING: "missing_next", LATE: "late_next"}


@dataclass(slots=True)
class Edges:
    """Where a node leads by the word for how it is left, and the place where that stands."""

    leads: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def read(self, fields: Fields, name: str, label: str) -> None:
        """One edge, if the field is there."""
        target = fields.key(name)
        if target is not None:
            self.leads[label] = target
            self.places[label] = fields.place(name)


@dataclass(frozen=True, slots=True)
class ReadNode:
    """A node with the places of its edges in the document."""

    node: Node
    path: str
    places: Mapping[str, str]


_Read = Callable[[Fields, Edges, Collection[str]], Does | None]


def read_node(
    mistakes: Mistakes, value: object, path: str, calendars: Collection[str]
) -> ReadNode | None:
    """A node at a place of the document; None, with every mistake noted, when it is none."""
    named = value.get("type") if isinstance(value, dict) else None
    known = _FIELDS.get(named) if isinstance(named, str) else None
    every = tuple(dict.fromkeys(name for own in _FIELDS.values() for name in own))
    fields = Fields(mistakes, value, path, (*_OF_ALL, *(every if known is None else known)))
    fields.required("type")
    type_ = fields.choice("type", tuple(_FIELDS), "")
    edges = Edges()
    does = _READ[type_](fields, edges, calendars) if type_ else None
    if type_ and type_ not in _NO_NEXT and not edges.leads.get(NEXT):
        edges.read(fields, "next", NEXT)
        if not (type_ in ACTION_KINDS and fields.has("outcomes")):
            fields.required("next")
    id_ = fields.key("id") if fields.required("id") else None
    replaces = _replaces(fields)
    if id_ is None or does is None:
        return None
    return ReadNode(Node(id_, does, edges.leads, replaces), path, edges.places)


def _replaces(fields: Fields) -> tuple[str, ...]:
    found = []
    for path, value in fields.items("replaces", MAX_REPLACED):
        if isinstance(value, str) and KEY.fullmatch(value):
            found.append(value)
        else:
            fields.mistakes.add(path, "key", f"{shown(value)} is no id of a node")
    return tuple(found)


def _act(fields: Fields, edges: Edges, _: Collection[str]) -> Does:
    if fields.has("outcomes"):
        _outcomes(fields, edges)
    if fields.has("timeout_next"):
        edges.read(fields, "timeout_next", TIMEOUT)
    return Act(
        spec=read_action(fields),
        stops=fields.choice("on_failure", ("continue", "exit"), "continue") == "exit",
        patience=fields.duration("timeout", DEFAULT_PATIENCE, MAX_WAIT),
    )


def _outcomes(fields: Fields, edges: Edges) -> None:
    named = fields.value("outcomes")
    names = tuple(map(str, named)) if isinstance(named, dict) else ()

    def read(own: Fields) -> None:
        for name in names:
            if name not in ANSWERS:
                one_of = f"is none of {', '.join(ANSWERS)}"
                own.wrong(shown(name)[1:-1] or '""', "choice", one_of)
            elif own.required(name):
                edges.read(own, name, name)

    if named == {}:
        fields.wrong("outcomes", "min_items", "must name at least one outcome")
    fields.nested("outcomes", read, names)


def _wait(fields: Fields, edges: Edges, calendars: Collection[str]) -> Does | None:
    for label, name in _EDGES.items():
        edges.read(fields, name, label)
    return read_wait(fields, calendars)


def _branch(fields: Fields, edges: Edges, _: Collection[str]) -> Does:
    fields.required("cases")
    if fields.value("cases") == []:
        fields.wrong("cases", "min_items", "must hold at least one case")
    cases: list[Condition] = []
    for path, value in fields.items("cases", MAX_CASES):
        case = Fields(fields.mistakes, value, path, ("when", "next"))
        condition = case.condition("when", event_leaves=True) if case.required("when") else None
        if case.required("next"):
            edges.read(case, "next", str(len(cases)))
        if condition is not None:
            cases.append(condition)
    if fields.required("else"):
        edges.read(fields, "else", ELSE)
    return Branch(tuple(cases))


def _split(fields: Fields, edges: Edges, _: Collection[str]) -> Does:
    fields.choice("mode", ("random",), "random")
    arms = _arms(fields, edges, "branches")
    return Split(_salt(fields), fields.text("layer") or "split", arms)


def _experiment(fields: Fields, edges: Edges, _: Collection[str]) -> Does:
    arms = _arms(fields, edges, "arms")
    winner = fields.text("winner")
    if winner is not None and winner not in {arm.key for arm in arms}:
        fields.wrong("winner", "unknown_arm", f"{shown(winner)} is no arm")
    layer = fields.text("layer") or "experiment"
    return Split(_salt(fields), layer, arms, exposes=True, winner=winner)


def _salt(fields: Fields) -> str:
    fields.required("salt")
    return fields.text("salt") or ""


def _arms(fields: Fields, edges: Edges, name: str) -> tuple[Arm, ...]:
    """Arms without a key are named by their place. Their shares are all of the people."""
    fields.required(name)
    arms: list[Arm] = []
    buckets = 0
    for path, value in fields.items(name, MAX_ARMS):
        own = Fields(fields.mistakes, value, path, ("key", "percent", "next"))
        key = own.key("key") or str(len(arms))
        if key in {arm.key for arm in arms}:
            own.wrong("key", "unique", f"{shown(key)} stands twice")
        own.required("percent")
        percent = own.number("percent", 0.0, 0.0, 100.0)
        share = percent * BUCKETS / 100
        if abs(share - round(share)) > 1e-6:
            own.wrong("percent", "number_range", "has at most two decimals")
        buckets += round(share)
        if own.required("next"):
            edges.read(own, "next", key)
        arms.append(Arm(key, percent))
    if fields.has(name) and buckets != BUCKETS:
        fields.wrong(name, "percent_sum", f"sum to {buckets / 100:g} percent, and not to 100")
    return tuple(arms)


def _throttle(fields: Fields, edges: Edges, _: Collection[str]) -> Does:
    edges.read(fields, "late_next", LATE)
    return read_rate(fields)


def read_rate(fields: Fields) -> Spacing:
    """So many in each period."""
    fields.required("limit")
    fields.required("per")
    return Spacing(
        limit=fields.whole("limit", 1, 1, MAX_RATE),
        per=fields.duration("per", timedelta(minutes=1), timedelta(days=7)),
        max_wait=fields.duration("max_wait", DEFAULT_PATIENCE, MAX_WAIT),
    )


def _set_traits(fields: Fields, _: Edges, __: Collection[str]) -> Does:
    return SetTraits(_object(fields, "set", MAX_TRAITS))


def _emit(fields: Fields, _: Edges, __: Collection[str]) -> Does:
    fields.required("event")
    properties = _object(fields, "properties", MAX_PROPERTIES) if fields.has("properties") else {}
    event = fields.text("event") or ""
    if event.startswith(OWN_EVENTS):
        fields.wrong(
            "event", "reserved", f"{shown(event)}: {OWN_EVENTS}* is what Concert itself says"
        )
    return Emit(event, properties)


def _object(fields: Fields, name: str, limit: int) -> dict[str, object]:
    value = fields.value(name)
    if not fields.required(name):
        return {}
    if not isinstance(value, dict) or not value:
        fields.wrong(name, "type", f"must be an object with a field, not {shown(value)}")
        return {}
    if len(value) > limit:
        fields.wrong(name, "max_items", f"has {len(value)} fields, at most {limit} allowed")
    if len(msgspec.json.encode(value)) > MAX_JSON:
        fields.wrong(name, "max_length", f"is larger than {MAX_JSON} bytes")
    return value


def _jump(fields: Fields, _: Edges, __: Collection[str]) -> Does:
    fields.required("journey")
    return Jump(fields.key("journey") or "")


def _exit(fields: Fields, _: Edges, __: Collection[str]) -> Does:
    return Leave(fields.key("reason") or "completed")


_OF_ALL = ("id", "type", "name", "description", "replaces")
_ACT = (*ACTION_FIELDS, "next", "on_failure", "outcomes", "timeout", "timeout_next")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(ACTION_KINDS, _ACT),
    "wait": ("next", *WAIT_FIELDS),
    "branch": ("cases", "else"),
    "split": ("mode", "salt", "layer", "branches"),
    "experiment": ("salt", "layer", "arms", "winner"),
    "throttle": ("limit", "per", "max_wait", "next", "late_next"),
    "update_profile": ("set", "next"),
    "emit_event": ("event", "properties", "next"),
    "enter_journey": ("journey", "next"),
    "exit": ("reason",),
}
"""The types of nodes, and the fields of each."""
_NO_NEXT = ("branch", "split", "experiment", "exit")
_READ: Mapping[str, _Read] = {
    **dict.fromkeys(ACTION_KINDS, _act),
    "wait": _wait,
    "branch": _branch,
    "split": _split,
    "experiment": _experiment,
    "throttle": _throttle,
    "update_profile": _set_traits,
    "emit_event": _emit,
    "enter_journey": _jump,
    "exit": _exit,
}
