"""Writes docs/benchmarks.md: the figures of one run, with what they mean and how to repeat it."""

from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.asking import ASKED_RULES, CHANNELS, PEOPLE, AskRun
from bench.collecting import CollectRun
from bench.floor import FloorRun
from bench.latency import LatencyRun
from bench.pipeline import HOPS, PipelineRun

MUST, AIM = 0.15, 0.30
MUST_MS, AIM_MS = 500, 250
MUST_COLLECTED, AIM_COLLECTED = 5_000, 15_000
MUST_ASK_MS, AIM_ASK_MS = 50, 20
EXPLAIN_BELOW = 15_000
PERCENTILES = (0.5, 0.9, 0.95, 0.99, 1.0)
LEARNED = Path(__file__).with_name("learned.md")
"""What earlier measurements taught; it ends the page."""
LEARNED_TITLE = "## What was learned"
SCALE = {
    "profiles": Path(__file__).with_name("scale.md"),
    "timers": Path(__file__).with_name("timers.md"),
    "months": Path(__file__).with_name("months.md"),
}
"""What each part of `make scale` measured last, if it did."""
SCALE_BEGINS, SCALE_ENDS = "<!-- make scale -->\n", "<!-- end of make scale -->\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """All that one run of the benchmark measured."""

    machine: str
    load_before: float
    event_bytes: float
    floors: tuple[FloorRun, FloorRun]
    bare_floor: FloorRun
    pipeline: PipelineRun
    latency: LatencyRun
    """At half of the load that the first budget's "must" column asks for."""
    latency_at_half: LatencyRun
    """At half of what the pipeline took in this run."""
    collecting: list[CollectRun]
    asking: list[AskRun]
    """The bare endpoint, and decide."""

    @property
    def asked(self) -> AskRun:
        """The run of decide."""
        return self.asking[-1]

    @property
    def floor(self) -> float:
        """The better of the two floors: the harder measure."""
        return max(run.rate for run in self.floors)

    @property
    def collected(self) -> float:
        """Events a second that the collector took in batches."""
        return next(run.rate for run in self.collecting if run.name == "collector, batches")

    @property
    def ratio(self) -> float:
        """Pipeline over floor."""
        return self.pipeline.rate / self.floor


def summary(figures: Figures) -> str:
    """The result in a few lines for the terminal."""
    return "\n".join(
        [
            f"floor {figures.floor:,.0f}/s, pipeline {figures.pipeline.rate:,.0f}/s, "
            f"ratio {figures.ratio:.3f} (must {MUST}, aim {AIM})",
            *(
                f"event to action at {late.rate:,.0f}/s: p50 {late.percentile(0.50):.0f} ms, "
                f"p99 {late.percentile(0.99):.0f} ms (must {MUST_MS}, aim {AIM_MS}), "
                f"{len(late.milliseconds)} of {late.expected} actions, {late.stolen:.0%} of the "
                "cores stolen"
                for late in (figures.latency, figures.latency_at_half)
            ),
            *(f"{run.name}: {run.rate:,.0f} events/s" for run in figures.collecting),
            *(
                f"{run.name} at {run.rate:,.0f}/s: p50 {run.percentile(0.5):.1f} ms, p99 "
                f"{run.percentile(0.99):.1f} ms (must {MUST_ASK_MS}, aim {AIM_ASK_MS})"
                for run in figures.asking
            ),
        ]
    )


def kept(figures: Figures) -> bool:
    """Whether every budget's "must" column is kept, and no action is missing or doubled."""
    exact = all(
        len(late.milliseconds) == late.expected and not late.unexpected
        for late in (figures.latency, figures.latency_at_half)
    )
    return (
        exact
        and figures.ratio >= MUST
        and figures.latency.percentile(0.99) <= MUST_MS
        and figures.collected >= MUST_COLLECTED
        and figures.asked.percentile(0.99) <= MUST_ASK_MS
    )


def render(figures: Figures) -> str:
    """The whole page."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`; every figure is of one run on one machine. Compare ratios, "
            "not rates.",
            "",
            f"**Machine:** {figures.machine}. Load average before the run: "
            f"{figures.load_before:.1f}.",
            "",
            *_budget(figures),
            *_floor(figures),
            *_pipeline(figures),
            *_latency(figures),
            *_collecting(figures),
            *_asking(figures),
            *_method(figures),
            *([scale_section(measured)] if (measured := scale_text()) else []),
            LEARNED.read_text(encoding="utf-8"),
        ]
    )


def scale_text() -> str:
    """All that `make scale` measured last."""
    found = [path.read_text(encoding="utf-8") for path in SCALE.values() if path.exists()]
    return "\n".join(found)


def scale_section(text: str) -> str:
    """The figures of `make scale` between the marks by which they are found again."""
    return f"{SCALE_BEGINS}{text}{SCALE_ENDS}"


def _budget(figures: Figures) -> list[str]:
    late, half = figures.latency, figures.latency_at_half
    return [
        "| budget | must | aim | measured |",
        "|---|---|---|---|",
        f"| events/s, channel topic to decision, three services, {load.RULES} rules and "
        f"{load.SEGMENTS} segments live | "
        f"{MUST} × floor | {AIM} × floor | **{figures.ratio:.2f} × floor** "
        f"({figures.pipeline.rate:,.0f}/s) |",
        f"| event → action at half of that load ({MUST} × floor), p99 | {MUST_MS} ms | "
        f"{AIM_MS} ms | **{late.percentile(0.99):.0f} ms** at {late.rate:,.0f}/s |",
        f"| the same at half of what the pipeline took, p99 | | | "
        f"{half.percentile(0.99):.0f} ms at {half.rate:,.0f}/s |",
        f"| collector, batches of 100, acks=all | {MUST_COLLECTED:,}/s | {AIM_COLLECTED:,}/s | "
        f"**{figures.collected:,.0f}/s** |",
        f"| `POST /v1/decide` at {figures.asked.rate:,.0f} requests/s, p99 | {MUST_ASK_MS} ms | "
        f"{AIM_ASK_MS} ms | **{figures.asked.percentile(0.99):.1f} ms** |",
        "",
    ]


def _floor(figures: Figures) -> list[str]:
    before, after = figures.floors
    lines = [
        "## The floor",
        "",
        "One process, no logic: read with aiokafka, COPY the events, upsert one profile with a "
        "2 KB snapshot per key, one transaction per batch of 1,000, publish event and snapshot "
        "with `send_batch`. 8 partitions, fsync on, alone on the machine.",
        "",
        "| floor | events/s | own CPU per event |",
        "|---|---|---|",
        *(
            f"| {name} | {run.rate:,.0f} | {run.cpu_seconds / run.events * 1e6:.0f} µs |"
            for name, run in (
                ("before the pipeline", before),
                ("after the pipeline", after),
                ("the same without snapshots, for comparison", figures.bare_floor),
            )
        ),
        "",
        f"Against the floor without snapshots the pipeline is at "
        f"{figures.pipeline.rate / figures.bare_floor.rate:.2f}.",
        "",
    ]
    if figures.floor < EXPLAIN_BELOW:
        lines += [
            f"The floor is under {EXPLAIN_BELOW:,} events/s: other work shared the two cores "
            f"during this run (load average {figures.load_before:.1f} before it), and every event "
            "writes 2 KB of snapshot to PostgreSQL and again to Kafka. The pipeline ran under the "
            "same conditions.",
            "",
        ]
    return lines


def _pipeline(figures: Figures) -> list[str]:
    run = figures.pipeline
    per_event = {name: seconds / run.events * 1e6 for name, seconds in run.cpu.items()}
    return [
        "## The pipeline",
        "",
        f"{run.events:,} events were on the topic before the workers started. From the first event "
        f"taken to the last decision committed and published: {run.seconds:.1f} s "
        f"({run.start_seconds:.1f} s more for the ingest worker to start).",
        "",
        "| process | CPU per event | resident memory at the end |",
        "|---|---|---|",
        *(
            f"| {name} | {per_event[name]:.0f} µs | "
            f"{f'{run.memory[name]:.0f} MB' if name in HOPS else ''} |"
            for name in sorted(per_event, key=lambda name: (name not in HOPS, name))
        ),
        "",
        f"What it did: {run.profiles:,} active profiles, {run.updates:,} profile updates, "
        f"{run.merges:,} merges, {run.decisions:,} decisions, {run.actions:,} actions; a stored "
        f"profile has {run.snapshot_bytes:,.0f} bytes on average.",
        "",
    ]


def _latency(figures: Figures) -> list[str]:
    runs = (figures.latency, figures.latency_at_half)
    return [
        "## Event to action",
        "",
        "Events paced evenly. Measured from the moment the event was due at the publisher to the "
        "moment a consumer of the actions topic had the action. `stolen` is the share of the "
        "cores' time in which they had work and the host gave them to others: a tail measured "
        "with more than a few percent of it is the host's.",
        "",
        "| events/s | events | p50 | p90 | p95 | p99 | longest | actions | unexpected | twice | "
        "stolen |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {run.rate:,.0f} | {run.events:,} | "
            + " | ".join(f"{run.percentile(share):.0f} ms" for share in PERCENTILES)
            + f" | {len(run.milliseconds):,} of {run.expected:,} | {run.unexpected} | "
            f"{run.doubled} | {run.stolen:.0%} |"
            for run in runs
        ),
        "",
    ]


def _collecting(figures: Figures) -> list[str]:
    return [
        "## The collector",
        "",
        "Requests over 8 connections that stay open, each waiting for its answer; the client "
        "shares the two cores. The bare endpoint reads the body and answers, nothing else.",
        "",
        "| endpoint | events/s | requests/s | p50 | p99 | own CPU per request | all CPU |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {run.name} | {run.rate:,.0f} | {run.requests / run.seconds:,.0f} | "
            f"{run.percentile(0.5):.1f} ms | {run.percentile(0.99):.1f} ms | "
            f"{_own_cpu(run) / run.requests * 1e6:.0f} µs | "
            f"{sum(run.cpu.values()) / run.requests * 1e6:.0f} µs |"
            for run in figures.collecting
        ),
        "",
    ]


def _asking(figures: Figures) -> list[str]:
    return [
        "## What to say now",
        "",
        f"`POST /v1/decide` at an even rate, whatever the answers do: {PEOPLE:,} people, "
        f"{load.RULES} rules of which {ASKED_RULES} are asked, two caps, {len(CHANNELS)} channels "
        "that ask for one slot of anybody; so some answers are kept ones. Measured from the moment "
        "a request was due. The profile service, the orchestrator's worker and poller, the broker "
        "and the client share the cores. `unavailable`: the profile was not read within 30 ms, "
        "and nothing is given that a consent or a limit could forbid.",
        "",
        "| endpoint | p50 | p90 | p99 | longest | p99 of new ones | answers | kept | actions | "
        "unavailable | stolen | CPU a request |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {run.name} | "
            + " | ".join(f"{run.percentile(share):.1f} ms" for share in (0.5, 0.9, 0.99, 1.0))
            + f" | {run.percentile_of_new(0.99):.1f} ms | {run.requests:,} | {len(run.kept):,} | "
            f"{run.actions:,} | {run.persons.get('unavailable', 0)} | {run.stolen:.0%} | "
            + ", ".join(f"{name} {run.cpu_ms(name):.2f} ms" for name in sorted(run.cpu))
            + " |"
            for run in figures.asking
        ),
        "",
    ]


def _own_cpu(run: CollectRun) -> float:
    return run.cpu.get("ingest-collector", run.cpu.get("bare endpoint", 0.0))


def _method(figures: Figures) -> list[str]:
    return [
        "## The load",
        "",
        f"{load.PEOPLE:.0%} as many people as events, {load.TWO_IDENTIFIERS:.0%} of events with "
        f"two identifiers, 1% merges, {load.CANDIDATES:.0%} of events are a "
        f"candidate for one of {load.RULES} rules, {load.ACTIONS:.0%} cause an action. An event "
        f"has {figures.event_bytes:.0f} bytes on average; the first of each person carries the "
        "traits of a snapshot of about 2 KB. The same seed gives the same load.",
        "",
        "Repeat it with `make bench` (`python -m bench --events N` for another size).",
        "",
    ]
