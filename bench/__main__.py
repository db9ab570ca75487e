"""`python -m bench`: the floor, the pipeline, the latency and the floor again, in one run."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from bench import machine, report
from bench.asking import run_asking
from bench.collecting import CollectRun, run_collecting
from bench.floor import SNAPSHOT, FloorRun, run_floor
from bench.latency import LatencyRun, run_latency
from bench.load import LoadEvent, make_load
from bench.pipeline import publish_bench_rules, publish_bench_segments, run_pipeline
from bench.publish import PARTITIONS, drop_topics, new_topics, preload
from bench.report import Figures
from bench.stage import Stage, running_stage
from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT
from deploy.local.progress import Progress
from shared import clock

DEFAULT_EVENTS = 100_000
LEAST_EVENTS = 10_000
PACED_SECONDS = 30
OUTPUT = CHECKOUT / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Run it all; the exit code is 0 when every budget is kept."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=DEFAULT_EVENTS, help="size of each part")
    parser.add_argument("--seconds", type=int, default=PACED_SECONDS, help="of the paced part")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page that is written")
    chosen = parser.parse_args(arguments)
    if chosen.events < LEAST_EVENTS:
        parser.error(f"--events {chosen.events} is too few: give at least {LEAST_EVENTS}")
    progress = Progress()
    load_before = machine.load_average()
    try:
        with running_stage(progress) as stage:
            figures = _measure(stage, progress, chosen.events, chosen.seconds, load_before)
    except StackError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(report.render(figures))
    print(f"\n{report.summary(figures)}\nwritten to {chosen.output}")
    return 0 if report.kept(figures) else 1


def _measure(
    stage: Stage, progress: Progress, count: int, seconds: int, load_before: float
) -> Figures:
    progress.say(f"making {count:,} events")
    events = list(make_load(count, seed=1, run="full", now=clock.now()))
    before = _floor(stage, progress, events, "before", SNAPSHOT)
    bare = _floor(stage, progress, events, "without snapshots", b"")
    progress.say("publishing 50 rules and 20 segments")
    uvloop.run(publish_bench_rules(stage))
    uvloop.run(publish_bench_segments(stage))
    progress.say("pipeline: loading the channel topic")
    pipeline = uvloop.run(run_pipeline(stage, events, _say(progress, "pipeline")))
    progress.say(f"pipeline: {pipeline.rate:,.0f} events/s")
    latency = _latency(stage, progress, "must", report.MUST * before.rate / 2, seconds)
    at_half = _latency(stage, progress, "half", pipeline.rate / 2, seconds)
    stage.stop_roles()
    collecting = _collecting(stage, progress, seconds / 3)
    progress.say("decide: 10,000 people, and the bare endpoint")
    asking = uvloop.run(run_asking(stage, seconds))
    after = _floor(stage, progress, events, "after", SNAPSHOT)
    return Figures(
        machine=machine.describe(),
        load_before=load_before,
        event_bytes=sum(len(event.value) for event in events) / count,
        floors=(before, after),
        bare_floor=bare,
        pipeline=pipeline,
        latency=latency,
        latency_at_half=at_half,
        collecting=collecting,
        asking=asking,
    )


def _floor(
    stage: Stage, progress: Progress, events: list[LoadEvent], name: str, snapshot: bytes
) -> FloorRun:
    """The floor on topics of its own, which are deleted again."""

    async def run() -> FloorRun:
        await new_topics(stage.kafka, "floor.", ["in", "out"])
        await preload(stage.kafka, "floor.in", events)
        try:
            return await run_floor(
                stage.kafka,
                stage.owner_url,
                source="floor.in",
                target="floor.out",
                partitions=PARTITIONS,
                events=len(events),
                snapshot=snapshot,
            )
        finally:
            await drop_topics(stage.kafka, "floor.")

    progress.say(f"floor {name}: loading")
    result = uvloop.run(run())
    progress.say(f"floor {name}: {result.rate:,.0f} events/s")
    return result


def _latency(stage: Stage, progress: Progress, run: str, rate: float, seconds: int) -> LatencyRun:
    """Pace events of this run's own people at `rate` a second."""
    events = list(make_load(round(rate * seconds), seed=2, run=run, now=clock.now()))
    progress.say(f"latency: {len(events):,} events at {rate:,.0f}/s")
    return uvloop.run(run_latency(stage, events, rate))


def _collecting(stage: Stage, progress: Progress, seconds: float) -> list[CollectRun]:
    """The collector alone, no worker behind it; its topic keeps what it took."""
    progress.say("collector: batches, single events, and the bare endpoint")
    runs = uvloop.run(run_collecting(stage, seconds))
    for run in runs:
        progress.say(f"{run.name}: {run.rate:,.0f} events/s")
    return runs


def _say(progress: Progress, what: str) -> Callable[[str], None]:
    return lambda text: progress.say(f"{what}: {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
