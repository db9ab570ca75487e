"""Reads the JSON form of a journey and names every mistake with its path."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from services.orchestrator.domain.contact_policy import CATEGORIES
from services.orchestrator.domain.journeys.graph import check_graph
from services.orchestrator.domain.journeys.journey import (
    Attribution,
    Awaited,
    Awaiting,
    Branch,
    Calendar,
    Criterion,
    Emit,
    Goal,
    Journey,
    Jump,
    Node,
    Removed,
    Spacing,
    VersionPolicy,
)
from services.orchestrator.domain.journeys.node_document import read_node, read_rate
from services.orchestrator.domain.journeys.wait_document import (
    read_awaited,
    read_calendars,
    read_criterion,
)
from services.orchestrator.domain.rule_document import (
    MAX_EXITS,
    MAX_PRIORITY,
    SCORE_FIELDS,
    read_holdout,
    read_names,
    read_re_entry,
    read_score,
    read_valid,
)
from services.orchestrator.domain.trigger_document import TRIGGER_FIELDS, read_trigger
from shared.conditions.document import Fields
from shared.conditions.mistakes import Mistakes
from shared.conditions.tree import Condition
from shared.errors import Unprocessable

MAX_NODES = 200
DEFAULT_DURATION, MAX_DURATION = timedelta(days=91), timedelta(days=1_830)
DEFAULT_WITHIN = timedelta(days=30)

_FIELDS = (
    *("key", "version", "status", "name", "description", "category", "topic", "group"),
    *("priority", "score", "entry", "re_entry", "holdout", "max_duration", "exit_criteria"),
    *("goal", "nodes", "calendars", "version_policy", "removed_nodes", "valid"),
)
_LATER = {
    "trigger": 'Not available in a journey: what lets people in is its "entry".',
    "actions": "Not available in a journey: its nodes act.",
    "engagement_policy": "Not available in a journey: let a branch decide.",
    "arbitration": "Not available in a journey: the contact policy says how many win.",
    "quiet_hours": "Not available in a journey: quiet hours stand in a contact policy.",
}


def parse_journey(document: object, *, key: str, version: int) -> Journey:
    """The journey of a decoded JSON document, under the key and version it is stored with.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS, _LATER)
    read_names(fields, key, ("name", "description"))
    valid_from, valid_to = fields.nested("valid", read_valid, ("from", "to"))
    worth, costs, customer = fields.nested("score", read_score, SCORE_FIELDS)
    fields.required("entry")
    entry, rate = fields.nested(
        "entry",
        lambda own: (read_trigger(own, valid_from), _rate(own)),
        (*TRIGGER_FIELDS, "rate"),
    )
    max_duration = fields.duration("max_duration", DEFAULT_DURATION, MAX_DURATION)
    calendars = read_calendars(fields)
    journey = Journey(
        key=key,
        version=version,
        category=fields.choice("category", CATEGORIES, "marketing"),
        topic=fields.text("topic"),
        group=fields.text("group"),
        priority=fields.whole("priority", 0, -MAX_PRIORITY, MAX_PRIORITY),
        worth=worth,
        costs=costs,
        customer=customer,
        entry=entry,
        rate=rate,
        re_entry=fields.nested("re_entry", read_re_entry, ("mode", "cooldown", "key")),
        holdout=read_holdout(fields, key, measured=False),
        max_duration=max_duration,
        exit_criteria=_exit_criteria(fields),
        goal=_goal(fields, max_duration),
        nodes=_nodes(fields, calendars),
        calendars=calendars,
        version_policy=_version_policy(fields),
        removed=_removed(fields),
        valid_from=valid_from,
        valid_to=valid_to,
    )
    _check_keys(fields, journey)
    _check_own_entry(fields, journey)
    if mistakes.problems:
        raise Unprocessable("the journey breaks rules", mistakes.problems)
    return journey


def conditions_of(journey: Journey) -> Iterator[tuple[str, Condition]]:
    """Every condition about the person, with its place; what they count has to be registered."""
    if journey.entry.where is not None:
        yield "entry.where", journey.entry.where
    for place, (when, _) in enumerate(journey.worth.context):
        yield f"score.context[{place}].when", when
    for place, one in enumerate(journey.exit_criteria):
        if not isinstance(one, Awaited):
            yield f"exit_criteria[{place}]", one
    for place, node in enumerate(journey.nodes.values()):
        match node.does:
            case Branch(cases):
                for number, case in enumerate(cases):
                    yield f"nodes[{place}].cases[{number}].when", case
            case Awaiting(what, _) if not isinstance(what, Awaited):
                yield f"nodes[{place}].until", what


def awaited_in(journey: Journey) -> Iterator[tuple[str, Awaited]]:
    """Every later touchpoint that the journey waits for or ends with, with its place."""
    for place, one in enumerate(journey.exit_criteria):
        if isinstance(one, Awaited):
            yield f"exit_criteria[{place}]", one
    if journey.goal is not None:
        yield "goal", journey.goal.what
    for place, node in enumerate(journey.nodes.values()):
        if isinstance(node.does, Awaiting) and isinstance(node.does.what, Awaited):
            yield f"nodes[{place}].until", node.does.what


def _rate(fields: Fields) -> Spacing | None:
    if not fields.has("rate"):
        return None
    return fields.nested("rate", read_rate, ("limit", "per"))


def _exit_criteria(fields: Fields) -> tuple[Criterion, ...]:
    found = (
        read_criterion(fields, value, path)
        for path, value in fields.items("exit_criteria", MAX_EXITS)
    )
    return tuple(one for one in found if one is not None)


def _goal(fields: Fields, max_duration: timedelta) -> Goal | None:
    if not fields.has("goal"):
        return None
    kinds: tuple[Attribution, ...] = ("last_touch", "first_touch")

    def read(own: Fields) -> Goal | None:
        attribution = own.choice("attribution", kinds, "last_touch")
        within = own.duration("within", min(DEFAULT_WITHIN, max_duration), MAX_DURATION)
        exits = own.boolean("exits", default=True)
        given = fields.value("goal")
        named = given if isinstance(given, dict) else {}
        what = {name: named[name] for name in ("event", "where", "key") if name in named}
        awaited = read_awaited(own, what, own.path)
        if awaited is None:
            return None
        return Goal(awaited, within, next(one for one in kinds if one == attribution), exits)

    known = ("event", "where", "key", "within", "attribution", "exits")
    return fields.nested("goal", read, known)


def _nodes(fields: Fields, calendars: Mapping[str, Calendar]) -> dict[str, Node]:
    fields.required("nodes")
    if fields.value("nodes") == []:
        fields.wrong("nodes", "min_items", "must hold at least one node")
    before = len(fields.mistakes.problems)
    items = list(fields.items("nodes", MAX_NODES))
    read = [read_node(fields.mistakes, value, path, calendars) for path, value in items]
    known = [one for one in read if one is not None]
    if len(known) < len(items) or len(fields.mistakes.problems) > before:
        return {one.node.id: one.node for one in known}  # the graph of half the nodes says nothing
    return check_graph(fields.mistakes, known)


def _version_policy(fields: Fields) -> VersionPolicy:
    kinds: tuple[VersionPolicy, ...] = ("pin", "follow_live")
    chosen = fields.choice("version_policy", kinds, "pin")
    return next(one for one in kinds if one == chosen)


def _removed(fields: Fields) -> Removed:
    kinds: tuple[Removed, ...] = ("finish", "exit")
    chosen = fields.choice("removed_nodes", kinds, "finish")
    return next(one for one in kinds if one == chosen)


def _check_keys(fields: Fields, journey: Journey) -> None:
    """Only where runs have a key can a later touchpoint be asked for it."""
    if journey.re_entry.key is not None:
        return
    for path, one in awaited_in(journey):
        if one.key is not None:
            needs = "needs a key in re_entry: without one, runs have none"
            fields.mistakes.add(f"{path}.key", "required", needs)


def _check_own_entry(fields: Fields, journey: Journey) -> None:
    """A journey must not let in those whom it sent away itself, again and again."""
    for place, node in enumerate(journey.nodes.values()):
        match node.does:
            case Emit(event, _) if event == journey.entry.event and event:
                again = "is the entry of this journey: it would go round for ever"
                fields.mistakes.add(f"nodes[{place}].event", "own_entry", again)
            case Jump(key) if key == journey.key:
                again = "is this journey: lead to its first node instead"
                fields.mistakes.add(f"nodes[{place}].journey", "own_entry", again)
