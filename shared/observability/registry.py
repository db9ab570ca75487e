"""The one registry of this process, and how a metric is declared: once, typed, with its meaning.

A metric says when it moves and what a person then does; `docs/metrics.md` is written from that.
Label values come from closed sets, so that the number of series is known in advance; what
publishers may name freely (channels) goes through a `Fold`, which stops at a limit. Never an id,
an address or any text of a customer.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as _disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

PREFIX = "concert"
OTHER = "other"
LABEL_VALUE = re.compile(r"[a-z0-9_.]{1,64}")

_disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it without types
REGISTRY = CollectorRegistry()
ProcessCollector(namespace=PREFIX, registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue. `labels` maps each label to the values known at start."""

    name: str
    kind: str
    description: str
    moves: str
    act: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = ()


CATALOGUE: list[Entry] = []
_declared: list[tuple[MetricWrapperBase, Entry]] = []
M = TypeVar("M", Counter, Gauge, Histogram)


class Fold:
    """Lets at most `limit` distinct values through; every later one becomes `other`.

    Values that are no plain short word become `other` at once, so free text never gets in.
    """

    def __init__(self, known: Iterable[str], limit: int) -> None:
        self._passed = set(known)
        self._limit = limit

    def __call__(self, value: str) -> str:
        if value in self._passed:
            return value
        if len(self._passed) >= self._limit or not LABEL_VALUE.fullmatch(value):
            return OTHER
        self._passed.add(value)
        return value


def counter(
    name: str,
    description: str,
    *,
    moves: str,
    act: str,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Counter:
    """Declare a counter; `name` without prefix and with `_total`."""
    entry = Entry(f"{PREFIX}_{name}", "counter", description, moves, act, labels or {})
    return _keep(Counter(entry.name, description, list(entry.labels), registry=REGISTRY), entry)


def gauge(
    name: str,
    description: str,
    *,
    moves: str,
    act: str,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Gauge:
    """Declare a gauge; `name` without prefix, ending in its unit."""
    entry = Entry(f"{PREFIX}_{name}", "gauge", description, moves, act, labels or {})
    return _keep(Gauge(entry.name, description, list(entry.labels), registry=REGISTRY), entry)


def histogram(
    name: str,
    description: str,
    *,
    moves: str,
    act: str,
    buckets: Sequence[float],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Histogram:
    """Declare a histogram with classic buckets; each SLO threshold has to be one of the edges."""
    entry = Entry(
        f"{PREFIX}_{name}", "histogram", description, moves, act, labels or {}, tuple(buckets)
    )
    built: Histogram = Histogram(
        entry.name, description, list(entry.labels), registry=REGISTRY, buckets=buckets
    )
    return _keep(built, entry)


def describe(entry: Entry) -> None:
    """Put a metric of a collector of its own into the catalogue."""
    CATALOGUE.append(entry)


def create_children() -> None:
    """Create a child for every combination of known label values, so that it is scraped as 0.

    A series that is born at 1 hides its first error from `rate()`.
    """
    for metric, entry in _declared:
        if entry.labels:
            for values in itertools.product(*entry.labels.values()):
                metric.labels(*values)


def sample_names(entry: Entry) -> list[str]:
    """The names a query may use for this metric."""
    if entry.kind == "histogram":
        return [f"{entry.name}_{part}" for part in ("bucket", "count", "sum")]
    return [entry.name]


def _keep(metric: M, entry: Entry) -> M:
    CATALOGUE.append(entry)
    _declared.append((metric, entry))
    return metric


def _process(name: str, kind: str, description: str, act: str) -> Entry:
    moves = "Read from the operating system at every scrape."
    return Entry(f"{PREFIX}_process_{name}", kind, description, moves, act)


_PROCESS: tuple[tuple[str, str, str, str], ...] = (
    ("cpu_seconds_total", "counter", "CPU time used.", "One core full: start another process."),
    (
        "resident_memory_bytes",
        "gauge",
        "Memory held.",
        "It has to be flat under load; growth over hours is a leak: restart and report.",
    ),
    ("virtual_memory_bytes", "gauge", "Address space.", "Nothing; read beside resident memory."),
    ("start_time_seconds", "gauge", "When the process started.", "Restarts show as steps."),
    ("open_fds", "gauge", "Open files and sockets.", "Near the limit: look for a socket leak."),
    ("max_fds", "gauge", "Limit of open files.", "Raise `ulimit -n` when `open_fds` comes near."),
)
for _line in _PROCESS:
    describe(_process(*_line))
