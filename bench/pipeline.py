"""The pipeline from a channel topic to the decision: all three services, 50 rules and 20 segments
live."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg
import httpx

from bench import machine
from bench.load import (
    CITIES,
    PAGES,
    RULES,
    SCORE_TO_ACT,
    SEGMENTS,
    LoadEvent,
    rule_key,
    signal_type,
)
from bench.publish import preload
from bench.stage import Stage
from deploy.local.ports import HOST
from shared.contracts.topics import Topics

CHANNEL = "web"
ACTION_CHANNEL = "email"
POLL_SECONDS = 0.1
STALL_SECONDS = 60.0
SAY_SECONDS = 2.0
HOPS = ("ingest-worker", "profile-worker", "orchestrator-worker")
TOPICS = Topics()


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One run: `seconds` from the first event taken to the last decision committed and published.

    `start_seconds` is the time the processes needed before that. CPU is in seconds, memory in MB.
    """

    events: int
    seconds: float
    start_seconds: float
    cpu: dict[str, float]
    memory: dict[str, float]
    decisions: int
    actions: int
    merges: int
    profiles: int
    updates: int
    snapshot_bytes: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


async def publish_bench_rules(stage: Stage) -> None:
    """Publish the 50 rules over HTTP, as a person would, and stop the API again."""
    await stage.start_ready("orchestrator", "api")
    headers = {"Authorization": f"Bearer {stage.admin_token}"}
    base = f"http://{HOST}:{stage.ports.base + 3}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as api:
        for number in range(RULES):
            path = f"/v1/rules/{rule_key(number)}"
            (await api.put(path, json=_rule(number))).raise_for_status()
            (await api.post(f"{path}:publish", json={})).raise_for_status()
    stage.stop_roles()


def _rule(number: int) -> dict[str, object]:
    """A candidate for each of its signals, an action for those with a high score."""
    worthy = {"attr": "event.score", "op": "gte", "value": SCORE_TO_ACT}
    known = {"attr": "profile.email", "op": "exists"}
    body = "Hello {{ profile.first_name }}, you looked at {{ event.product_id }}."
    content = {"en": {"subject": f"Signal {number}", "body": body}}
    return {
        "category": "service",
        "trigger": {"type": "event", "event": signal_type(number)},
        "engagement_policy": {
            "eligibility": worthy,
            "suitability": {"not": {"all": [known, {"attr": "profile.country", "op": "eq",
                                                    "value": "XX"}]}},
        },
        "actions": [{"type": "message", "channel": ACTION_CHANNEL, "content": content}],
    }  # fmt: skip


async def publish_bench_segments(stage: Stage) -> None:
    """Publish the 20 segments over HTTP, and stop the API again."""
    await stage.start_ready("profile", "api")
    headers = {"Authorization": f"Bearer {stage.admin_token}"}
    base = f"http://{HOST}:{stage.ports.base + 2}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as api:
        for number in range(SEGMENTS):
            path = f"/v1/segments/bench-{number:02d}"
            body = {"name": f"Segment {number}", "condition": _condition(number)}
            (await api.put(path, json=body)).raise_for_status()
            (await api.post(f"{path}:publish", json={})).raise_for_status()
    stage.stop_roles()


def _condition(number: int) -> dict[str, object]:
    """Of each five segments two count events in a window, and one each asks a sum, a trait, and
    for membership of another one."""
    page = PAGES[number % len(PAGES)]
    match number % 5:
        case 0:
            return {"event": page, "count": {"gte": 2 + number // 5}, "within": "P30D"}
        case 1:
            return {"event": signal_type(number), "within": "P7D"}
        case 2:
            return {"attr": "profile.computed.touchpoints", "op": "gte", "value": 2 + number}
        case 3:
            return {"attr": "profile.city", "op": "eq", "value": CITIES[number // 5]}
        case _:
            return {"all": [{"segment": f"bench-{number - 2:02d}"},
                            {"attr": "profile.locale", "op": "exists"}]}  # fmt: skip


async def run_pipeline(
    stage: Stage, events: Sequence[LoadEvent], progress: Callable[[str], None]
) -> PipelineRun:
    """Carry the events through; the workers are started on the full topic and run on afterwards."""
    await preload(stage.kafka, TOPICS.channel(CHANNEL), events)
    database = await asyncpg.connect(stage.owner_url)
    try:
        await stage.start_ready("orchestrator", "worker")
        await stage.start_ready("orchestrator", "poller")
        await stage.start_ready("profile", "worker")
        spawned = time.perf_counter()
        stage.start("ingest", "worker")
        await _until(lambda: _taken(database), 1, progress)
        begun, before = time.perf_counter(), machine.cpu_seconds(stage.pids)
        count = len(events)
        await _until(lambda: _finished(database, count), count, progress)
        seconds = time.perf_counter() - begun
        after = machine.cpu_seconds(stage.pids)
        cpu = {name: after[name] - before[name] for name in after}
        counted = await database.fetchrow(_COUNTS)
        return PipelineRun(
            events=count,
            seconds=seconds,
            start_seconds=begun - spawned,
            cpu=cpu,
            memory=machine.memory_mb({name: stage.pids[name] for name in HOPS}),
            **dict(counted),
        )
    finally:
        await database.close()


async def _taken(database: asyncpg.Connection) -> int:
    """How many raw records the ingest worker has passed on."""
    query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ingest.lease WHERE topic = $1"
    return int(await database.fetchval(query, TOPICS.channel(CHANNEL)))


async def _finished(database: asyncpg.Connection, count: int) -> int:
    """How many events are through; `count` only when nothing is left in between."""
    row = await database.fetchrow(_PROGRESS, TOPICS.touchpoints, TOPICS.profile_updates)
    done = int(row["applied"])
    if row["waiting"] or row["decided"] < row["written"]:
        done = min(done, count - 1)
    return done


_PROGRESS = """
SELECT (SELECT coalesce(sum(next_offset), 0) FROM profile.lease WHERE topic = $1) AS applied,
       (SELECT coalesce(sum(seq), 0) FROM profile.profile) AS written,
       (SELECT coalesce(sum(applied), 0) FROM orchestrator.lease WHERE topic = $2) AS decided,
       (SELECT count(*) FROM profile.outbox) + (SELECT count(*) FROM orchestrator.outbox) AS waiting
"""

_COUNTS = """
SELECT (SELECT count(*) FROM orchestrator.decision) AS decisions,
       (SELECT count(*) FROM orchestrator.action) AS actions,
       (SELECT count(*) FROM profile.merge) AS merges,
       (SELECT count(*) FROM profile.profile WHERE status = 'active') AS profiles,
       (SELECT sum(seq)::bigint FROM profile.profile) AS updates,
       (SELECT avg(octet_length(state))::float FROM profile.profile
         WHERE status = 'active') AS snapshot_bytes
"""


async def _until(
    probe: Callable[[], Awaitable[int]], enough: int, progress: Callable[[str], None]
) -> None:
    """Poll until enough, and say how far it is. Raises RuntimeError when nothing moves."""
    last, moved, said = -1, time.monotonic(), 0.0
    while (found := await probe()) < enough:
        now = time.monotonic()
        if found != last:
            last, moved = found, now
        if now - moved > STALL_SECONDS:
            raise RuntimeError(f"nothing moved for {STALL_SECONDS:.0f} s, at {found} events")
        if now - said >= SAY_SECONDS:
            progress(f"{found:,} events")
            said = now
        await asyncio.sleep(POLL_SECONDS)
