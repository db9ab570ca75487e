"""What is counted of a touchpoint: one number for each metric in force that it is the event of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.experiments.layers import Traffic, holds, layer_bucket
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.document import MAX_NUMBER
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.values import read_number

LEAST = 1e-12
"""What is less than that is nothing: squared, it would be no number that a database can hold."""


@dataclass(frozen=True, slots=True)
class Told:
    """A touchpoint of a person, which the update `seq` of the profile `of` told."""

    profile_id: str
    touchpoint_id: str
    of: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Measured:
    """A touchpoint that counts for a metric. `source` is the name under which exposures to the same
    are kept; `always`: it is of use for somebody who is exposed only later."""

    told: Told
    source: str
    metric: str
    value: float
    always: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Live:
    """One metric, compiled. Only who is in the buckets of the layer can be exposed yet; who was
    exposed may have left them since, by less traffic or a merge."""

    source: str
    metric: Metric
    holds: Holds | None
    read: Read | None
    among: tuple[str, Traffic] | None


class Measures:
    """The metrics of running experiments and of holdouts, by the type of their event."""

    def __init__(
        self,
        running: Iterable[Running] = (),
        holdouts: Mapping[str, Iterable[Metric]] | None = None,
    ) -> None:
        found: dict[str, list[_Live]] = {}
        for one in running:
            experiment = one.experiment
            among = (experiment.layer, one.traffic)
            for metric in () if one.is_over else experiment.metrics:
                found.setdefault(metric.event, []).append(_live(experiment.key, metric, among))
        for source, metrics in (holdouts or {}).items():
            for metric in metrics:
                found.setdefault(metric.event, []).append(_live(source, metric, None))
        self._by_event = {event: tuple(metrics) for event, metrics in found.items()}
        self.listens = frozenset(self._by_event)
        """Event types that count for any metric."""

    def of(self, facts: Facts, told: Told) -> list[Measured]:
        """What the touchpoint, whose event is that of the facts, counts for."""
        found = []
        for live in self._by_event.get(facts.event_type or "", ()):
            value = _value(live, facts)
            if value is not None:
                always = live.metric.before is not None and _may_be_exposed(live, told.profile_id)
                found.append(Measured(told, live.source, live.metric.key, value, always))
        return found


def _live(source: str, metric: Metric, among: tuple[str, Traffic] | None) -> _Live:
    return _Live(
        source,
        metric,
        None if metric.where is None else compile_condition(metric.where),
        None if metric.property is None else reader(metric.property),
        among,
    )


def _value(live: _Live, facts: Facts) -> float | None:
    """What it is worth; None where it does not count, or its property is no number that a sum can
    hold, squared and of everybody; 0 for one that is next to nothing."""
    if live.holds is not None and not live.holds(facts):
        return None
    if live.read is None:
        return 1.0
    value = read_number(live.read(facts))
    if value is None or abs(value) > MAX_NUMBER:
        return None
    return float(value) if abs(value) >= LEAST else 0.0


def _may_be_exposed(live: _Live, unit: str) -> bool:
    if live.among is None:
        return True
    layer, traffic = live.among
    return holds(traffic, layer_bucket(layer, unit))
