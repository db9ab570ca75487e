"""Reads the JSON form of a rule and names every mistake with its path.

`trigger_document.py` and `action_document.py` read the two large parts. What only journeys have, or
this version does not do, is refused with a sentence, never ignored.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from services.orchestrator.domain.action_document import read_actions
from services.orchestrator.domain.contact_policy import CATEGORIES
from services.orchestrator.domain.experiments.experiment_document import MAX_ARMS, read_metric
from services.orchestrator.domain.rule import (
    EngagementPolicy,
    Holdout,
    InArms,
    ReEntry,
    ReEntryMode,
    Rule,
    Worth,
)
from services.orchestrator.domain.score import MAX_WEIGHT, MIN_WEIGHT
from services.orchestrator.domain.trigger_document import MAX_AGE, TRIGGER_FIELDS, read_trigger
from shared.conditions.document import KEY, Fields
from shared.conditions.mistakes import Mistakes, shown
from shared.conditions.operands import read_attribute
from shared.conditions.tree import Condition
from shared.errors import Unprocessable

MAX_WINDOW = timedelta(hours=1)
NOTHING = timedelta(0)
MAX_EXITS = 20
MAX_CONTEXTS = 20
MAX_COSTS = 10
MAX_PRIORITY = 1_000_000
MAX_WORTH = 1e9

SCORE_FIELDS = ("propensity", "value", "context", "lever", "costs", "customer")
_FIELDS = (
    *("key", "version", "status", "name", "description", "category", "topic", "issue", "group"),
    *("trigger", "engagement_policy", "re_entry", "holdout", "score", "priority", "arbitration"),
    *("actions", "exit_criteria", "valid", "experiment"),
)
_LATER = {
    "experiments": "Not available in a rule: it is in one experiment, `experiment`.",
    "include_existing": "Not available here: it is a field of the trigger.",
    "version_policy": "Not available in a rule: it has no runs, the live version applies at once.",
    "quiet_hours": "Not available in a rule: quiet hours stand in a contact policy.",
    "max_duration": "Not available in a rule: only journeys last.",
    "goal": "Not available in a rule: only journeys have a goal.",
    "nodes": "Not available in a rule: only journeys have nodes.",
}


def parse_rule(document: object, *, key: str, version: int) -> Rule:
    """The rule of a decoded JSON document, under the key and version it is stored with.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS, _LATER)
    read_names(fields, key, ("name", "description", "issue"))
    fields.required("trigger")
    valid_from, valid_to = fields.nested("valid", read_valid, ("from", "to"))
    max_actions, window = fields.nested("arbitration", _arbitration, ("max_actions", "window"))
    worth, costs, customer = fields.nested("score", read_score, SCORE_FIELDS)
    rule = Rule(
        key=key,
        version=version,
        category=fields.choice("category", CATEGORIES, "marketing"),
        topic=fields.text("topic"),
        group=fields.text("group"),
        trigger=fields.nested(
            "trigger", lambda trigger: read_trigger(trigger, valid_from), TRIGGER_FIELDS
        ),
        engagement_policy=fields.nested(
            "engagement_policy", _engagement, ("eligibility", "applicability", "suitability")
        ),
        re_entry=fields.nested("re_entry", read_re_entry, ("mode", "cooldown", "key")),
        worth=worth,
        priority=fields.whole("priority", 0, -MAX_PRIORITY, MAX_PRIORITY),
        max_actions=max_actions,
        actions=read_actions(fields),
        exit_criteria=_exits(fields),
        valid_from=valid_from,
        valid_to=valid_to,
        holdout=read_holdout(fields, key),
        window=window,
        costs=costs,
        customer=customer,
        experiment=_experiment(fields),
    )
    if mistakes.problems:
        raise Unprocessable("the rule breaks rules", mistakes.problems)
    return rule


def read_names(fields: Fields, key: str, texts: Iterable[str]) -> None:
    """Check the key that the document is stored with, and the texts that are for people."""
    if KEY.fullmatch(key) is None:
        fields.wrong("key", "key", "is lower-case letters, digits, '_', '-' and '.', at most 100")
    fields.same_key(key)
    for name in texts:
        fields.text(name, limit=2_000)


def _engagement(fields: Fields) -> EngagementPolicy:
    return EngagementPolicy(
        eligibility=fields.condition("eligibility", event_leaves=True),
        applicability=fields.condition("applicability", event_leaves=True),
        suitability=fields.condition("suitability", event_leaves=True),
    )


def read_re_entry(fields: Fields) -> ReEntry:
    """Whether one may enter again, and what tells entries apart."""
    modes: tuple[ReEntryMode, ...] = ("always", "after_exit", "never")
    mode = fields.choice("mode", modes, "always")
    key = None
    if fields.has("key"):
        key = read_attribute(fields.mistakes, fields.place("key"), fields.value("key"))
    return ReEntry(
        mode=next(known for known in modes if known == mode),
        cooldown=fields.duration("cooldown", NOTHING, MAX_AGE, zero=True),
        key=key,
    )


def read_score(fields: Fields) -> tuple[Worth, dict[str, float], float | None]:
    """What it is worth, what it costs, and what the customer gains."""
    return _worth(fields), _costs(fields), _customer(fields)


def _worth(fields: Fields) -> Worth:
    context: list[tuple[Condition, float]] = []
    for path, value in fields.items("context", MAX_CONTEXTS):
        part = Fields(fields.mistakes, value, path, ("when", "weight"))
        part.required("weight")
        weight = part.number("weight", 0.0, MIN_WEIGHT, MAX_WEIGHT)
        condition = part.condition("when", event_leaves=True) if part.required("when") else None
        if condition is not None:
            context.append((condition, weight))
    return Worth(
        propensity=fields.number("propensity", 1.0, 0.0, 1.0),
        value=fields.number("value", 1.0, -MAX_WORTH, MAX_WORTH),
        context=tuple(context),
        lever=fields.number("lever", 0.0, MIN_WEIGHT, MAX_WEIGHT),
    )


def _arbitration(fields: Fields) -> tuple[int | None, timedelta | None]:
    most = fields.whole("max_actions", 1, 1, 100) if fields.has("max_actions") else None
    if not fields.has("window"):
        return most, None
    return most, fields.duration("window", NOTHING, MAX_WINDOW, zero=True)


def read_holdout(fields: Fields, key: str, *, measured: bool = True) -> Holdout | None:
    """How many percent are left out, and by what is told what that brings, unless something else
    tells (`measured`)."""
    if not fields.has("holdout"):
        return None

    def read(own: Fields) -> Holdout:
        own.required("percent")
        percent, salt = own.number("percent", 0.0, 0.0, 100.0), own.text("salt") or key
        return Holdout(percent, salt, read_metric(own, "metric") if measured else None)

    return fields.nested("holdout", read, ("percent", "salt", *(("metric",) if measured else ())))


def _experiment(fields: Fields) -> InArms | None:
    """In which arms of an experiment people have to be."""
    if not fields.has("experiment"):
        return None

    def read(own: Fields) -> InArms:
        own.required("key")
        own.required("arms")
        arms: list[str] = []
        for path, value in own.items("arms", MAX_ARMS):
            if not isinstance(value, str) or KEY.fullmatch(value) is None:
                own.mistakes.add(path, "key", "is the key of an arm")
            elif value in arms:
                own.mistakes.add(path, "unique", f"{shown(value)} stands here twice")
            else:
                arms.append(value)
        if own.has("arms") and not arms:
            own.wrong("arms", "min_items", "names no arm: the rule would never act")
        return InArms(own.key("key") or "", tuple(arms))

    return fields.nested("experiment", read, ("key", "arms"))


def _costs(fields: Fields) -> dict[str, float]:
    """Amounts of scarce resources by the key of the resource."""
    if not fields.has("costs"):
        return {}
    named = fields.value("costs")
    names = tuple(str(name) for name in named) if isinstance(named, dict) else ()
    if len(names) > MAX_COSTS:
        fields.wrong(
            "costs", "max_items", f"has {len(names)} elements, at most {MAX_COSTS} allowed"
        )
        return {}

    def read(own: Fields) -> dict[str, float]:
        found = {}
        for name in names:
            if KEY.fullmatch(name) is None:
                own.wrong(shown(name)[1:-1] or '""', "key", "is the key of a resource")
            elif own.required(name):
                found[name] = own.number(name, 0.0, 0.0, MAX_WORTH)
        return found

    return fields.nested("costs", read, names)


def _customer(fields: Fields) -> float | None:
    if not fields.has("customer"):
        return None
    return fields.number("customer", 0.0, -MAX_WORTH, MAX_WORTH)


def read_valid(fields: Fields) -> tuple[datetime | None, datetime | None]:
    """From when until when it is in force."""
    start, end = fields.instant("from"), fields.instant("to")
    if start is not None and end is not None and end <= start:
        fields.wrong("to", "time_order", "must be later than from")
    return start, end


def _exits(fields: Fields) -> tuple[Condition, ...] | None:
    if not fields.has("exit_criteria"):
        return None
    criteria = (
        _exit(fields, value, path) for path, value in fields.items("exit_criteria", MAX_EXITS)
    )
    return tuple(criterion for criterion in criteria if criterion is not None)


def _exit(fields: Fields, value: object, path: str) -> Condition | None:
    """A later touchpoint (`{event, where}` alone), or a condition."""
    return fields.condition_of(value, path, event_leaves=True)
