"""Reads the JSON form of an experiment and names every mistake with its path."""

from collections.abc import Sequence
from datetime import timedelta

from services.orchestrator.domain.experiments.experiment import (
    BETTER,
    KEPT,
    KINDS,
    Arm,
    Experiment,
    Metric,
)
from shared.conditions.document import KEY, Fields
from shared.conditions.mistakes import Mistakes, shown
from shared.conditions.operands import read_attribute
from shared.errors import Unprocessable

MIN_ARMS, MAX_ARMS = 2, 10
MAX_METRICS = 10
MAX_WINDOW = timedelta(days=90)
MAX_RUNTIME = timedelta(days=366)
MAX_SAMPLE = 1_000_000_000
MAX_AMOUNT = 1e9
TINY = 1e-6
WEEK = timedelta(days=7)
TWO_WEEKS = timedelta(days=14)

_FIELDS = (
    *("key", "version", "status", "name", "description", "hypothesis", "layer", "salt", "traffic"),
    *("arms", "metrics", "sample", "min_runtime", "confidence", "on_harm", "on_winner"),
)
_METRIC = ("key", "event", "where", "kind", "property", "window", "better", "cap", "before")


def parse_experiment(document: object, *, key: str, version: int) -> Experiment:
    """The experiment of a decoded JSON document, under the key and version it is stored with.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS)
    if KEY.fullmatch(key) is None:
        fields.wrong("key", "key", "is lower-case letters, digits, '_', '-' and '.', at most 100")
    fields.same_key(key)
    for name in ("name", "description", "hypothesis"):
        fields.text(name, limit=2_000)
    for name in ("arms", "metrics", "sample"):
        fields.required(name)
    primary, secondary, guardrails = fields.nested(
        "metrics", _metrics, ("primary", "secondary", "guardrails")
    )
    experiment = Experiment(
        key=key,
        version=version,
        layer=fields.key("layer") or key,
        salt=_salt(fields) or key,
        traffic=_percent(fields, "traffic", 100.0),
        arms=_arms(fields),
        primary=primary,
        secondary=secondary,
        guardrails=guardrails,
        sample=fields.whole("sample", 1_000, 200, MAX_SAMPLE),
        min_runtime=fields.duration("min_runtime", WEEK, MAX_RUNTIME),
        confidence=fields.number("confidence", 0.95, 0.8, 0.999),
        stop_on_harm=fields.choice("on_harm", ("stop", "tell"), "stop") == "stop",
        apply_winner=fields.choice("on_winner", ("apply", "tell"), "tell") == "apply",
    )
    _whole_weeks(fields, experiment.min_runtime)
    _kept(fields, experiment)
    if mistakes.problems:
        raise Unprocessable("the experiment breaks rules", mistakes.problems)
    return experiment


def _arms(fields: Fields) -> tuple[Arm, ...]:
    """The first arm is the control; together they are 100 percent."""
    arms: list[Arm] = []
    before = len(fields.mistakes.problems)
    for path, value in fields.items("arms", MAX_ARMS):
        own = Fields(fields.mistakes, value, path, ("key", "name", "weight"))
        own.text("name", limit=2_000)
        own.required("key")
        own.required("weight")
        arm = Arm(own.key("key") or "", _percent(own, "weight", 0.0))
        if arm.key and arm.key in [known.key for known in arms]:
            own.wrong("key", "unique", f"{shown(arm.key)} stands here twice")
        arms.append(arm)
    if fields.has("arms") and len(fields.mistakes.problems) == before:
        _together(fields, arms)
    return tuple(arms)


def _together(fields: Fields, arms: Sequence[Arm]) -> None:
    """What arms have to be together, of which each is right."""
    total = sum(arm.weight for arm in arms)
    if len(arms) < MIN_ARMS:
        fields.wrong("arms", "min_items", f"has {len(arms)} elements, at least {MIN_ARMS} needed")
    elif abs(total - 100.0) > TINY:
        fields.wrong("arms", "weights", f"have weights of {total:g} %; together they are 100")
    elif arms[0].weight == 0.0:
        message = "is 0, but the first arm is the one that the others are compared with"
        fields.wrong("arms[0].weight", "control", message)


def _metrics(fields: Fields) -> tuple[Metric, tuple[Metric, ...], tuple[Metric, ...]]:
    fields.required("primary")
    primary = fields.nested(
        "primary", lambda own: _metric(own, given=fields.has("primary")), _METRIC
    )
    secondary = _several(fields, "secondary", ())
    guardrails = _several(fields, "guardrails", ("tolerance",))
    seen = {primary.key}
    for name, metrics in (("secondary", secondary), ("guardrails", guardrails)):
        for place, metric in enumerate(metrics):
            if metric.key and metric.key in seen:
                message = f"{shown(metric.key)} is the key of two metrics"
                fields.mistakes.add(f"{fields.place(name)}[{place}].key", "unique", message)
            seen.add(metric.key)
    return primary, secondary, guardrails


def read_metric(fields: Fields, name: str) -> Metric | None:
    """The one metric of something else than an experiment; None where it has none."""
    if not fields.has(name):
        return None
    return fields.nested(name, lambda own: _metric(own, given=True), _METRIC)


def _several(fields: Fields, name: str, more: tuple[str, ...]) -> tuple[Metric, ...]:
    return tuple(
        _metric(Fields(fields.mistakes, value, path, (*_METRIC, *more)), given=True)
        for path, value in fields.items(name, MAX_METRICS)
    )


def _metric(fields: Fields, *, given: bool) -> Metric:
    """One metric; of one that is missing altogether only that is noted."""
    if given:
        fields.required("key")
        fields.required("event")
    kind = next(one for one in KINDS if one == fields.choice("kind", KINDS, "conversion"))
    attribute = _property(fields, kind)
    cap = fields.number("cap", 0.0, 0.0, MAX_AMOUNT) if fields.has("cap") else None
    if cap is not None and kind == "conversion":
        fields.wrong("cap", "metric_kind", "is no field of a conversion: it is 0 or 1 already")
    return Metric(
        key=fields.key("key") or "",
        event=fields.text("event") or "",
        where=fields.condition("where"),
        kind=kind,
        property=attribute,
        window=fields.duration("window", TWO_WEEKS, MAX_WINDOW),
        better=next(one for one in BETTER if one == fields.choice("better", BETTER, "higher")),
        cap=cap,
        before=fields.duration("before", WEEK, MAX_WINDOW) if fields.has("before") else None,
        tolerance=fields.number("tolerance", 0.0, 0.0, MAX_AMOUNT),
    )


def _property(fields: Fields, kind: str) -> str | None:
    """The attribute of the event that a sum adds up."""
    if kind != "sum":
        if fields.has("property"):
            fields.wrong("property", "metric_kind", f'is no field of a metric of kind "{kind}"')
        return None
    if not fields.required("property"):
        return None
    found = read_attribute(fields.mistakes, fields.place("property"), fields.value("property"))
    if found is not None and not found.startswith("event."):
        fields.wrong("property", "attribute", "is a property of the event: event.<name>")
    return found


def _percent(fields: Fields, name: str, default: float) -> float:
    """Percent with at most two decimals: whole buckets."""
    percent = fields.number(name, default, 0.0, 100.0)
    if abs(percent * 100 - round(percent * 100)) > TINY:
        fields.wrong(name, "precision", "has at most two decimals")
    return percent


def _salt(fields: Fields) -> str | None:
    salt = fields.text("salt")
    if salt is not None and ":" in salt:
        fields.wrong("salt", "salt", "must not hold ':', which parts the text that is hashed")
    return salt


def _whole_weeks(fields: Fields, runtime: timedelta) -> None:
    if runtime % WEEK:
        message = "is no whole number of weeks: weekdays would count unevenly"
        fields.wrong("min_runtime", "whole_weeks", message)


def _kept(fields: Fields, experiment: Experiment) -> None:
    """Whoever is exposed first is still known, with what was before, when the last window ends."""
    window = max(metric.window for metric in experiment.metrics)
    before = max(metric.before or timedelta(0) for metric in experiment.metrics)
    if experiment.min_runtime + window + before > KEPT:
        message = (
            f"is, with the longest window and `before`, more than the {KEPT.days} days for which "
            "exposures are kept"
        )
        fields.wrong("min_runtime", "not_kept", message)
