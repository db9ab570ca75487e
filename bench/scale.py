"""`python -m bench.scale`: a million profiles read, searched and counted; a million people who wait
in a journey; and ninety days of a journey across four channels.

PostgreSQL and Kafka of its own in a temporary folder for each part, the services as processes. The
figures are printed, kept beside this file and put into docs/benchmarks.md, which `make bench`
writes. The parts are independent: `--only` runs one.
"""

import argparse
import asyncio
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvloop

from bench import machine, report
from bench.months import measure_months, render_months
from bench.population import Buyers, load, settle
from bench.reading import PreviewRun, ReadRun, measure_previews, measure_reads
from bench.stage import Stage, running_stage
from bench.timer_figures import Plan, TimerRun, render_timers
from bench.timers import measure_timers
from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT
from deploy.local.ports import HOST
from deploy.local.progress import Progress

DEFAULT_PROFILES = 1_000_000
REQUESTS = 4_000
LOADERS = 2
RANGE = 20_000
PAGE = CHECKOUT / "docs" / "benchmarks.md"
CPU_OF = ("profile-api", "postgres")
RATE, CHURN, CUSTOMERS, STEP_DAYS = 200.0, 270_000, 10_000, 3
LATE_MUST = 2.0
"""Seconds by which 99 of 100 timers may be late."""
PERCENTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """All that one run measured. `load_average` is from before it."""

    machine: str
    load_average: float
    profiles: int
    load_seconds: float
    reads: list[ReadRun]
    previews: list[PreviewRun]


def main(arguments: list[str]) -> int:
    """Run it; the exit code is 0 when every budget's "must" is kept and exact counts are."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--profiles", type=int, default=DEFAULT_PROFILES)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each kind")
    parser.add_argument("--waiting", type=int, default=DEFAULT_PROFILES, help="runs with timers")
    parser.add_argument("--rate", type=float, default=RATE, help="timers a second, paced")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each paced measurement")
    parser.add_argument("--churn", type=int, default=CHURN, help="timers of an hour's churn")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of the journey's 90 days")
    parser.add_argument("--no-page", action="store_true", help="print the figures, write no file")
    chosen = parser.parse_args(arguments)
    good = True
    for part in chosen.only or PARTS:
        try:
            text, part_is_good = PARTS[part](chosen, Progress())
        except StackError as error:
            print(f"scale: {error}", file=sys.stderr)
            return 1
        good = good and part_is_good
        print(f"\n{text}")
        if not chosen.no_page:
            report.SCALE[part].write_text(text, encoding="utf-8")
            put_into(PAGE, report.scale_text())
    return 0 if good else 1


def _profiles(chosen: argparse.Namespace, progress: Progress) -> tuple[str, bool]:
    average = machine.load_average()
    with running_stage(progress) as stage:
        url = stage.deployment.service_urls["profile"]
        begun = time.monotonic()
        buyers = load_all(url, chosen.profiles, progress)
        taken = time.monotonic() - begun
        progress.say("VACUUM and ANALYZE")
        uvloop.run(settle(url))
        progress.say("measuring")
        reads, previews = uvloop.run(_measure(stage, buyers, chosen.profiles, chosen.requests))
    figures = Scale(machine.describe(), average, chosen.profiles, taken, reads, previews)
    return render(figures), kept(figures)


def _timers(chosen: argparse.Namespace, progress: Progress) -> tuple[str, bool]:
    average = machine.load_average()
    plan = Plan(chosen.waiting, chosen.rate, chosen.seconds, chosen.churn)
    with running_stage(progress, shiftable_clock=True) as stage:
        run = uvloop.run(measure_timers(stage, plan, progress))
    return "\n".join([*render_timers(run), _measured_on("timers", average)]), timers_kept(run)


def _months(chosen: argparse.Namespace, progress: Progress) -> tuple[str, bool]:
    average = machine.load_average()
    with running_stage(progress, shiftable_clock=True) as stage:
        run = uvloop.run(measure_months(stage, chosen.customers, STEP_DAYS, progress))
    return "\n".join([*render_months(run), _measured_on("months", average)]), run.is_exact


def timers_kept(run: TimerRun) -> bool:
    """Whether the 99th percentile of lateness is within two seconds wherever no snapshot is open,
    with the hour's churn behind it too."""
    return all(one.p99 <= LATE_MUST for one in run.paced if not one.pinned)


def _measured_on(part: str, average: float) -> str:
    return (
        f"Measured with `make scale ONLY={part}` on {machine.describe()}; "
        f"load average before it: {average:.1f}.\n"
    )


PARTS = {"profiles": _profiles, "timers": _timers, "months": _months}


def load_all(url: str, profiles: int, progress: Progress) -> Buyers:
    """Load people 0 to `profiles - 1` from several processes."""
    ranges = [(url, start, min(start + RANGE, profiles)) for start in range(0, profiles, RANGE)]
    total, done = Buyers(0, 0), 0
    with multiprocessing.get_context("spawn").Pool(LOADERS) as pool:
        for start, stop, some in pool.imap_unordered(_load_range, ranges):
            total = Buyers(total.anywhere + some.anywhere, total.in_city + some.in_city)
            done += stop - start
            progress.say(f"{done:,} of {profiles:,} profiles")
    return total


def _load_range(given: tuple[str, int, int]) -> tuple[int, int, Buyers]:
    url, start, stop = given
    return start, stop, asyncio.run(load(url, start, stop))


async def _measure(
    stage: Stage, buyers: Buyers, profiles: int, requests: int
) -> tuple[list[ReadRun], list[PreviewRun]]:
    await stage.start_ready("profile", "api")
    base = f"http://{HOST}:{stage.ports.base + 2}"
    admin = {"Authorization": f"Bearer {stage.admin_token}"}
    async with httpx.AsyncClient(base_url=base, headers=admin, timeout=60) as clear:
        made = await clear.post("/v1/tokens", json={"name": "scale", "roles": ["viewer"]})
        made.raise_for_status()
        viewer = {"Authorization": f"Bearer {made.json()['token']}"}
        async with httpx.AsyncClient(base_url=base, headers=viewer, timeout=60) as masked:
            reads = await measure_reads(
                masked,
                clear,
                people=profiles,
                requests=requests,
                cpu=lambda: machine.cpu_seconds(stage.pids),
            )
            return reads, await measure_previews(masked, buyers)


def kept(figures: Scale) -> bool:
    """Whether every 99th percentile is within its "must", and every exact count is the truth."""
    return all(
        run.budget is None or run.percentile(0.99) <= run.budget[0] for run in figures.reads
    ) and all(not run.exact or run.count == run.truth for run in figures.previews)


def render(figures: Scale) -> str:
    """The section of docs/benchmarks.md."""
    return "\n".join(
        [
            f"## {figures.profiles:,} profiles",
            "",
            f"`make scale`, a run of its own on {figures.machine}; load average before it: "
            f"{figures.load_average:.1f}. The rows are those the worker would write "
            f"(`bench/population.py`), loaded in {figures.load_seconds:.0f} s. Requests over two "
            "connections that stay open, each waiting for its answer.",
            "",
            "| request | p50 | p90 | p99 | longest | p99 must | aim | CPU: API | PostgreSQL |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_read_line(run) for run in figures.reads),
            "",
            "| preview of a segment | longest of three | count | exact | there are |",
            "|---|---|---|---|---|",
            *(
                f"| {run.name} | {run.seconds:.2f} s | {run.count:,} | "
                f"{'yes' if run.exact else 'no: a sample of 1,000, scaled up'} | {run.truth:,} |"
                for run in figures.previews
            ),
            "",
        ]
    )


def _read_line(run: ReadRun) -> str:
    times = " | ".join(f"{run.percentile(share):.1f} ms" for share in PERCENTILES)
    must, aim = ("", "") if run.budget is None else (f"{one:.0f} ms" for one in run.budget)
    used = " | ".join(f"{run.cpu.get(one, 0.0) * 1000:.1f} ms" for one in CPU_OF)
    return f"| {run.name} | {times} | {must} | {aim} | {used} |"


def put_into(page: Path, section: str) -> None:
    """Replace the section of the page, or add it before what was learned."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(report.SCALE_BEGINS)
    if rest:
        _, _, behind = rest.partition(report.SCALE_ENDS)
    else:
        head, learned, behind = text.partition(report.LEARNED_TITLE)
        behind = f"\n{learned}{behind}"
    page.write_text(f"{head}{report.scale_section(section)}{behind}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
