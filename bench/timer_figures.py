"""What `make scale` measured of waiting timers, and the section of docs/benchmarks.md about it."""

from dataclasses import dataclass

POLLER = "orchestrator-poller"
WATCHED = ("timer", "journey_run", "profile_state")
TRAFFIC = 100
"""Updates of the waiting people's profiles a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """People, timers a second, seconds of each measurement of lateness, timers of the churn."""

    people: int
    rate: float
    seconds: float
    churn: int


@dataclass(frozen=True, slots=True)
class Size:
    """A table now: MB of it, and of each of its indexes; rows that are dead; what was cleaned."""

    table: float
    indexes: dict[str, float]
    dead: int
    vacuums: int

    @property
    def all_indexes(self) -> float:
        """MB of all indexes."""
        return sum(self.indexes.values())


Sizes = dict[str, Size]


@dataclass(frozen=True, slots=True)
class Paced:
    """How late timers fired that came due one by one, in seconds, under traffic."""

    name: str
    fired: int
    p50: float
    p99: float
    longest: float
    sizes: Sizes
    cpu: dict[str, float]
    pinned: bool = False
    """A snapshot was open."""


@dataclass(frozen=True, slots=True)
class Churn:
    """How long it took to fire many timers that were due at once."""

    name: str
    fired: int
    seconds: float
    sizes: Sizes
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Timers a second."""
        return self.fired / self.seconds


@dataclass(frozen=True, slots=True)
class TimerRun:
    """All that was measured, in its order."""

    plan: Plan
    load_seconds: float
    parts: list[Paced | Churn]
    settled: Sizes
    """Some time after the long snapshot was closed."""

    @property
    def paced(self) -> list[Paced]:
        """The measurements of lateness."""
        return [one for one in self.parts if isinstance(one, Paced)]


def render_timers(run: TimerRun) -> list[str]:
    """The section of docs/benchmarks.md."""
    plan = run.plan
    return [
        f"## {plan.people:,} waiting timers",
        "",
        f"Runs and timers as the worker writes them (`bench/waiting.py`), loaded in "
        f"{run.load_seconds:.0f} s; worker and pollers as processes. Paced: {plan.rate:.0f} timers "
        f"a second come due for {plan.seconds:.0f} s, while {TRAFFIC} profiles a second of people "
        f"who wait are updated; one in ten sends a message. Churn: {plan.churn:,} timers are due "
        f"at once, as many as in an hour at {plan.churn / 3600:.0f} a second; each sets the next. "
        "Late is measured from the instant at which a timer was due to the one at which the run "
        "went on.",
        "",
        "| measured | timers | late p50 | p99 | longest | timers/s | "
        + " | ".join(f"`{table}` | indexes | dead rows" for table in WATCHED)
        + " | CPU: pollers | PostgreSQL |",
        "|---" * (8 + 3 * len(WATCHED)) + "|",
        *(_line(one) for one in run.parts),
        "",
    ]


def _line(one: Paced | Churn) -> str:
    if isinstance(one, Paced):
        figures = (
            f"{one.p50 * 1000:.0f} ms | {one.p99 * 1000:.0f} ms | {one.longest * 1000:.0f} ms | "
        )
        name = f"paced, {one.name}"
    else:
        figures, name = f" | | | {one.rate:,.0f}", f"churn, {one.name}"
    sizes = " | ".join(
        f"{size.table:.0f} MB | {size.all_indexes:.0f} MB | {size.dead:,}"
        for size in (one.sizes[table] for table in WATCHED)
    )
    pollers = sum(used for name, used in one.cpu.items() if name.startswith(POLLER))
    return (
        f"| {name} | {one.fired:,} | {figures} | {sizes} | {pollers:.1f} s | "
        f"{one.cpu['postgres']:.1f} s |"
    )
