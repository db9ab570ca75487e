"""Reads a condition from decoded JSON and says everything that is wrong with it, with the place.

The reader never recurses deeper than `MAX_DEPTH` nor visits more than `MAX_NODES` nodes, whatever
it is given, and raises nothing but `Unprocessable`. It knows no catalogue: whether a trait or a
segment exists is checked by whoever has the catalogue (`leaves.references` lists them).
"""

from typing import cast

from shared.conditions.duration import parse_duration
from shared.conditions.facts import of_profile
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.conditions.operands import read_attribute, read_op, read_string, read_value
from shared.conditions.tree import (
    COUNT_OPS,
    All,
    Any,
    Compare,
    Condition,
    CountOp,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Not,
)
from shared.errors import Problem, Unprocessable

MAX_NODES = 200
MAX_DEPTH = 20
MAX_NAME = 200
MAX_COUNT = 1_000_000

# The fields of each kind of node; the first one names the kind.
_FIELDS: dict[str, tuple[str, ...]] = {
    "all": ("all",),
    "any": ("any",),
    "not": ("not",),
    "attr": ("attr", "op", "value"),
    "event": ("event", "where", "count", "within"),
    "segment": ("segment",),
    "persona": ("persona",),
    "consent": ("consent",),
}


def parse_condition(
    document: object, *, path: str = "condition", allow_event_leaves: bool = False
) -> Condition:
    """The condition in a decoded JSON document.

    `path` is what the paths of mistakes start with. Without `allow_event_leaves`, an event leaf is
    a mistake: it needs a history that the place of use cannot give. Raises `Unprocessable` with
    one problem for each mistake.
    """
    problems: list[Problem] = []
    condition = read_condition(document, problems, path=path, allow_event_leaves=allow_event_leaves)
    if condition is None:
        raise Unprocessable("the condition breaks rules", problems)
    return condition


def read_condition(
    document: object,
    problems: list[Problem],
    *,
    path: str = "condition",
    allow_event_leaves: bool = False,
) -> Condition | None:
    """Like `parse_condition`, for a document that holds more than the condition: adds to
    `problems` and returns None when there is a mistake."""
    mistakes = Mistakes()
    condition = _Reading(mistakes, allow_event_leaves).node(document, path, 1, in_event=False)
    problems.extend(mistakes.problems)
    return None if mistakes.problems else condition


class _Reading:
    """One pass over one document: the mistakes so far and how many nodes were seen."""

    def __init__(self, mistakes: Mistakes, allow_event_leaves: bool) -> None:
        self._mistakes = mistakes
        self._allow_event_leaves = allow_event_leaves
        self._nodes = 0

    def node(self, value: object, path: str, depth: int, *, in_event: bool) -> Condition | None:
        """One node; `in_event` says that it stands in the `where` of an event leaf."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if self._nodes == MAX_NODES + 1:
                self._add(path, "max_nodes", f"a condition has at most {MAX_NODES} nodes")
            return None
        if depth > MAX_DEPTH:
            self._add(path, "max_depth", f"a condition is at most {MAX_DEPTH} levels deep")
            return None
        fields = self._fields(value, path)
        if fields is None:
            return None
        kind, document = fields
        if in_event and kind in ("event", "segment", "persona", "consent"):
            self._add(f"{path}.{kind}", "event_where", "a past event knows only event and context")
            return None
        match kind:
            case "all" | "any":
                return self._group(kind, document[kind], f"{path}.{kind}", depth, in_event)
            case "not":
                part = self.node(document["not"], f"{path}.not", depth + 1, in_event=in_event)
                return None if part is None else Not(part)
            case "attr":
                return self._compare(document, path, in_event)
            case "event":
                return self._event(document, path, depth)
            case "consent":
                return self._consent(document["consent"], f"{path}.consent")
            case _:
                key = self._name(document[kind], f"{path}.{kind}")
                if key is None:
                    return None
                return InSegment(key) if kind == "segment" else IsPersona(key)

    def _add(self, path: str, rule: str, message: str) -> None:
        self._mistakes.add(path, rule, message)

    def _fields(self, value: object, path: str) -> tuple[str, dict[str, object]] | None:
        """The kind of the node and its fields, when it is an object of exactly one kind."""
        if not isinstance(value, dict):
            self._add(path, "type", f"must be an object, not {shown(value)}")
            return None
        kinds = [kind for kind in _FIELDS if kind in value]
        if len(kinds) > 1:
            self._add(path, "one_kind", f"is {' and '.join(kinds)} at once: a node has one kind")
            return None
        known = _FIELDS[kinds[0]] if kinds else tuple(_FIELDS)
        self._refuse_unknown(value, known, path)
        if not kinds:
            self._add(path, "one_kind", f"needs one of {', '.join(_FIELDS)}")
            return None
        return kinds[0], cast("dict[str, object]", value)

    def _refuse_unknown(
        self, value: dict[object, object], known: tuple[str, ...], path: str
    ) -> None:
        for key in value:
            if self._mistakes.full:
                return
            if key not in known and not (key in ("op", "value") and "attr" in known):
                name = shown(key)[1:-1] if isinstance(key, str) else shown(key)
                hint = did_you_mean(str(key), known) if isinstance(key, str) else ""
                self._add(f"{path}.{name}", "unknown_field", f"is no field of this node.{hint}")

    def _group(
        self, kind: str, value: object, path: str, depth: int, in_event: bool
    ) -> Condition | None:
        if not isinstance(value, list):
            self._add(path, "type", f"must be a list of conditions, not {shown(value)}")
            return None
        if not value:
            self._add(path, "min_items", "must hold at least one condition")
            return None
        parts: list[Condition] = []
        for place, element in enumerate(value):
            if self._nodes > MAX_NODES:
                return None
            part = self.node(element, f"{path}[{place}]", depth + 1, in_event=in_event)
            if part is not None:
                parts.append(part)
        return All(tuple(parts)) if kind == "all" else Any(tuple(parts))

    def _compare(self, document: dict[str, object], path: str, in_event: bool) -> Condition | None:
        attr = read_attribute(self._mistakes, f"{path}.attr", document["attr"])
        if in_event and attr is not None and of_profile(attr):
            self._add(f"{path}.attr", "event_where", "a past event knows only event and context")
        if "op" not in document:
            self._add(f"{path}.op", "required", "is missing")
            return None
        op = read_op(self._mistakes, f"{path}.op", document["op"])
        if op is None:
            return None
        if "value" not in document and op != "exists":
            self._add(f"{path}.value", "required", "is missing")
            return None
        given = document.get("value", True)
        value = read_value(self._mistakes, f"{path}.value", op, attr, given)
        return None if attr is None or value is None else Compare(attr, op, value)

    def _event(self, document: dict[str, object], path: str, depth: int) -> Condition | None:
        if not self._allow_event_leaves:
            self._add(
                f"{path}.event",
                "event_leaf",
                "counting past events needs computed history, which is not available here yet",
            )
            return None
        event = self._name(document["event"], f"{path}.event")
        where = None
        if "where" in document:
            where = self.node(document["where"], f"{path}.where", depth + 1, in_event=True)
        count = self._count(document.get("count", {"gte": 1}), f"{path}.count")
        within = None
        if "within" in document:
            text = self._name(document["within"], f"{path}.within")
            within = None if text is None else parse_duration(text)
            if text is not None and within is None:
                self._add(
                    f"{path}.within",
                    "duration",
                    f"{shown(text)} is no ISO 8601 duration of weeks, days, hours, minutes and "
                    "seconds, such as P30D or PT2H",
                )
        if event is None or count is None:
            return None
        return EventCount(event, where, count[0], count[1], within)

    def _count(self, value: object, path: str) -> tuple[CountOp, int] | None:
        if not isinstance(value, dict) or len(value) != 1:
            self._add(path, "type", 'must be an object with one operator, such as {"gte": 2}')
            return None
        ((op, bound),) = value.items()
        if op not in COUNT_OPS:
            hint = did_you_mean(op, COUNT_OPS) if isinstance(op, str) else ""
            choices = ", ".join(COUNT_OPS)
            self._add(path, "unknown_op", f"{shown(op)} is none of {choices}.{hint}")
            return None
        if type(bound) is not int or not 0 <= bound <= MAX_COUNT:
            self._add(f"{path}.{op}", "number_range", f"must be a whole number, 0 to {MAX_COUNT}")
            return None
        return op, bound

    def _consent(self, value: object, path: str) -> Condition | None:
        known = ("purpose", "channel")
        if not isinstance(value, dict):
            self._add(path, "type", f"must be an object, not {shown(value)}")
            return None
        self._refuse_unknown(value, known, path)
        names: list[str] = []
        for field in known:
            if field not in value:
                self._add(f"{path}.{field}", "required", "is missing")
                continue
            name = self._name(value[field], f"{path}.{field}")
            if name is not None:
                names.append(name)
        return HasConsent(*names) if len(names) == len(known) else None

    def _name(self, value: object, path: str) -> str | None:
        return read_string(self._mistakes, path, value, MAX_NAME)
