"""Ninety days of a twelve-node journey across web, e-mail, call centre and store, in minutes.

All services run as processes; the business clock is shifted from step to step of the play. At each
step first the timers fire, then channels answer, then customers do what they planned.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: TID251 - built by the factory

from bench import machine
from bench.load import LoadEvent
from bench.months_model import ANSWERED, SALT, Count, Plan, plan, totals
from bench.publish import PARTITIONS, preload
from bench.stage import Stage
from bench.timers import publish
from deploy.local.progress import Progress
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.kafka.factory import build_consumer

KEY = "first-purchase"
DAYS = 90
STALL_SECONDS = 60.0
LONGEST_STEP = timedelta(minutes=20)
"""Business time in which a step has to be over, so that no wait could end within it."""
HOPS = ("ingest-worker", "profile-worker", "orchestrator-worker", "orchestrator-poller")
TOPICS = Topics()
READ = (*(TOPICS.channel(one) for one in ("web", "email", "call_centre", "clienteling", "concert")),
        TOPICS.touchpoints, TOPICS.profile_updates)  # fmt: skip
"""All topics on which something of the play is published that somebody reads."""
SAYS = {"Signed Up": "web", "Order Completed": "web", "Account Closed": "web",
        "Store Visited": "clienteling"}  # fmt: skip
CHANNELS = {"welcome": "email", "invite": "clienteling", "call": "call_centre", "offer": "web"}

DOCUMENT: dict[str, Any] = {
    "name": "First purchase",
    "category": "service",
    "entry": {"type": "event", "event": "Signed Up"},
    "re_entry": {"mode": "never"},
    "exit_criteria": [{"event": "Account Closed"}],
    "goal": {"event": "Order Completed", "within": "P60D", "attribution": "last_touch"},
    "nodes": [
        {"id": "welcome", "type": "message", "channel": "email", "content": {"body": "Welcome"},
         "outcomes": {"clicked": "tier"}, "timeout": "P7D", "timeout_next": "morning",
         "next": "morning"},
        {"id": "tier", "type": "branch", "else": "morning",
         "cases": [{"when": {"attr": "profile.tier", "op": "eq", "value": "gold"},
                    "next": "invite"}]},
        {"id": "invite", "type": "task", "channel": "clienteling", "queue": "store",
         "content": {"body": "Invite"}, "outcomes": {"accepted": "visit", "declined": "morning"},
         "timeout": "P8D", "expires_in": "P20D", "timeout_next": "morning", "next": "morning"},
        {"id": "visit", "type": "wait", "until": {"event": "Store Visited"}, "timeout": "P10D",
         "next": "thanks", "timeout_next": "call"},
        {"id": "morning", "type": "wait", "local_time": "10:00", "weekdays": [1, 2, 3, 4, 5],
         "next": "half"},
        {"id": "half", "type": "split", "salt": SALT,
         "branches": [{"percent": 50, "next": "offer"}, {"percent": 50, "next": "pause"}]},
        {"id": "offer", "type": "message", "channel": "web", "content": {"body": "Offer"},
         "next": "pause"},
        {"id": "pause", "type": "wait", "duration": "P14D", "next": "call"},
        {"id": "call", "type": "task", "channel": "call_centre", "queue": "sales",
         "content": {"body": "Call"}, "outcomes": {"accepted": "thanks", "declined": "end"},
         "timeout": "P9D", "expires_in": "P20D", "timeout_next": "end", "next": "end"},
        {"id": "thanks", "type": "update_profile", "set": {"welcomed": True}, "next": "rest"},
        {"id": "rest", "type": "wait", "duration": "P30D", "next": "end"},
        {"id": "end", "type": "exit", "reason": "completed"},
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MonthsRun:
    """The play: `seconds` from the first step to the end of the last; memory is the most that each
    process had at the end of a step, in MB, CPU in seconds."""

    customers: int
    steps: int
    seconds: float
    events: int
    actions: int
    cpu: dict[str, float]
    memory: dict[str, float]
    counted: Counter[Count]
    expected: Counter[Count]

    @property
    def is_exact(self) -> bool:
        """Whether the engine counted what the model says."""
        return self.counted == self.expected


async def measure_months(
    stage: Stage, customers: int, step_days: int, progress: Progress
) -> MonthsRun:
    """Publish the journey, play the days, and compare the counts."""
    await publish(stage, KEY, DOCUMENT)
    for service, name in (
        ("orchestrator", "worker"),
        ("orchestrator", "poller"),
        ("profile", "worker"),
        ("ingest", "worker"),
    ):
        await stage.start_ready(service, name)
    database = await asyncpg.connect(stage.owner_url)
    consumer = build_consumer(stage.kafka, group=None, client_id="bench-months")
    await consumer.start()
    try:
        play = _Play(stage, database, consumer, customers, DAYS // step_days + 1, progress)
        return await play.run(timedelta(days=step_days, minutes=10 * step_days))
    finally:
        await consumer.stop()
        await database.close()
        stage.stop_roles()


def render_months(run: MonthsRun) -> list[str]:
    """The section of docs/benchmarks.md."""
    used = "; ".join(f"{name} {run.memory[name]:.0f} MB and {run.cpu[name]:.0f} s" for name in HOPS)
    verdict = "equal to the model's" if run.is_exact else "**NOT those of the model**"
    return [
        f"## {run.customers:,} customers, {DAYS} days, twelve nodes",
        "",
        f"The journey of `bench/months.py` across web, e-mail, call centre and store, on the "
        f"processes of all services, by the shifted clock: {run.steps} steps in "
        f"{run.seconds:.0f} s, {run.events:,} events ({run.events / run.seconds:,.0f} a second), "
        f"{run.actions:,} actions. Memory at its most, and CPU: {used}.",
        "",
        f"The counts are {verdict} (`bench/months_model.py`, written apart from the engine).",
        "",
        "| node | what | counted | model |",
        "|---|---|---|---|",
        *(
            f"| {node} | {kind} {word} | {run.counted[(node, kind, word)]:,} | "
            f"{run.expected[(node, kind, word)]:,} |"
            for node, kind, word in sorted({*run.counted, *run.expected})
        ),
        "",
    ]


class _Play:
    """The play on the real services."""

    def __init__(
        self,
        stage: Stage,
        database: asyncpg.Connection,
        consumer: AIOKafkaConsumer,
        customers: int,
        steps: int,
        progress: Progress,
    ) -> None:
        self._stage = stage
        self._database = database
        self._consumer = consumer
        self._progress = progress
        self._plans = {one.user_id: one for one in (plan(n, steps) for n in range(customers))}
        self._steps = steps
        self._events = 0
        self._read_until = 0
        self._answers: dict[int, list[tuple[Plan, str, str, str]]] = {}
        self._memory: dict[str, float] = {}

    async def run(self, step: timedelta) -> MonthsRun:
        """All steps, `step` apart, the first of them at three minutes past noon."""
        now: datetime = await self._database.fetchval("SELECT clock.now()")
        first = now.astimezone(UTC).replace(hour=12, minute=3, second=0, microsecond=0)
        first += timedelta(days=1)
        instants = [first + number * step for number in range(self._steps)]
        before, begun = machine.cpu_seconds(self._stage.pids), time.monotonic()
        for number, at in enumerate(instants):
            await self._play(number, at)
        seconds = time.monotonic() - begun
        after = machine.cpu_seconds(self._stage.pids)
        return MonthsRun(
            customers=len(self._plans),
            steps=len(instants),
            seconds=seconds,
            events=self._events,
            actions=await self._count("SELECT count(*) FROM orchestrator.action"),
            cpu={name: after[name] - before[name] for name in after},
            memory=dict(self._memory),
            counted=await self._counted(),
            expected=totals(list(self._plans.values()), await self._profiles(), instants),
        )

    async def _play(self, number: int, at: datetime) -> None:
        await self._database.execute("SELECT clock.advance($1::timestamptz - clock.now())", at)
        await self._until_quiet()
        await self._say([_answer(*one) for one in self._answers.pop(number, [])])
        await self._say(
            [
                _event(one, does, at)
                for one in self._plans.values()
                if (does := one.does.get(number)) is not None
            ]
        )
        await self._hear(number)
        now: datetime = await self._database.fetchval("SELECT clock.now()")
        if now - at > LONGEST_STEP:
            raise RuntimeError(f"step {number} took {now - at}: waits may have ended within it")
        for name, used in machine.memory_mb(self._stage.pids).items():
            self._memory[name] = max(used, self._memory.get(name, 0.0))
        self._progress.say(f"step {number + 1} of {self._steps}: {self._events:,} events")

    async def _say(self, said: Sequence[tuple[str, LoadEvent]]) -> None:
        """Publish events on their channels, and wait until all that follows has happened."""
        if not said:
            return
        for channel in {channel for channel, _ in said}:
            events = [event for where, event in said if where == channel]
            await preload(self._stage.kafka, TOPICS.channel(channel), events)
        self._events += len(said)
        await self._until_quiet()

    async def _hear(self, number: int) -> None:
        """What channels were asked to do in this step will be answered as customers planned."""
        rows = await self._database.fetch(_ASKED, [f"{KEY}/{node}" for node in ANSWERED])
        for row in rows[self._read_until :]:
            one, node = self._plans[row["user_id"]], row["rule"].removeprefix(f"{KEY}/")
            if node in one.answers:
                delay, said = one.answers[node]
                answer = (one, CHANNELS[node], said, str(row["action_id"]))
                self._answers.setdefault(number + delay, []).append(answer)
        self._read_until = len(rows)

    async def _until_quiet(self) -> None:
        """Wait until everything published was read by all, and nothing is due. Raises RuntimeError
        when nothing moves."""
        last, moved = None, time.monotonic()
        while True:
            row = await self._database.fetchrow(_STANDING, list(READ))
            ends = await self._ends()
            if not row["waiting"] and row["done"] == ends:
                return
            if (standing := (row["done"], row["waiting"], ends)) != last:
                last, moved = standing, time.monotonic()
            if time.monotonic() - moved > STALL_SECONDS:
                raise RuntimeError(f"nothing moved for {STALL_SECONDS:.0f} s: {standing}")
            await asyncio.sleep(0.05)

    async def _ends(self) -> int:
        """How many records were ever published on the topics."""
        places = [TopicPartition(topic, one) for topic in READ for one in range(PARTITIONS)]
        return sum((await self._consumer.end_offsets(places)).values())

    async def _count(self, query: str) -> int:
        return int(await self._database.fetchval(query))

    async def _counted(self) -> Counter[Count]:
        rows = await self._database.fetch(_COUNTED, KEY)
        return Counter({(row["node"], row["kind"], row["word"]): int(row["n"]) for row in rows})

    async def _profiles(self) -> dict[str, str]:
        rows = await self._database.fetch(_PROFILES)
        return {row["value"]: str(row["profile_id"]) for row in rows}


def _event(one: Plan, does: str, at: datetime) -> tuple[str, LoadEvent]:
    return SAYS[does], _made(one, does, at, kind="track", properties={})


def _answer(one: Plan, channel: str, said: str, action_id: str) -> tuple[str, LoadEvent]:
    properties = {"action_id": action_id, "outcome": said}
    return channel, _made(one, f"{channel}.{said}", None, kind="track", properties=properties)


def _made(one: Plan, type_: str, at: datetime | None, **fields: Any) -> LoadEvent:
    body = {
        "id": f"{type_}-{one.number}",
        "source": "play",
        "type": type_,
        "identifiers": [
            {"type": "user_id", "value": one.user_id},
            {"type": "email", "value": f"{one.user_id}@example.com"},
            {"type": "phone", "value": f"+336{one.number:08d}"},
            {"type": "loyalty_id", "value": f"l-{one.number}"},
        ],
        "traits": {"timezone": one.zone, "tier": "gold" if one.gold else "basic"},
        **({} if at is None else {"occurred_at": rfc3339(at)}),
        **fields,
    }
    return LoadEvent(one.user_id.encode(), msgspec.json.encode(body), None)


# Nothing is under way when all was read, nothing waits to be published, and no timer is due.
_STANDING = """
WITH leases AS (
    SELECT topic, next_offset FROM ingest.lease UNION ALL
    SELECT topic, next_offset FROM profile.lease UNION ALL
    SELECT topic, next_offset FROM orchestrator.lease
)
SELECT (SELECT coalesce(sum(next_offset), 0)::bigint FROM leases WHERE topic = ANY($1)) AS done,
       (SELECT count(*) FROM profile.outbox) + (SELECT count(*) FROM orchestrator.outbox)
       + (SELECT count(*) FROM orchestrator.timer WHERE due_at <= (SELECT clock.now())) AS waiting
"""
_ASKED = """
SELECT a.action_id, a.rule, i.value AS user_id FROM orchestrator.action a
  JOIN profile.identifier i ON i.profile_id = a.profile_id AND i.type = 'user_id'
 WHERE a.rule = ANY($1::text[]) ORDER BY a.created_at, a.action_id
"""
_COUNTED = """
SELECT node, kind, word, sum(n)::bigint AS n FROM orchestrator.journey_count
 WHERE journey = $1 AND kind IN ('entered', 'arrived', 'answered', 'goal', 'ended')
 GROUP BY node, kind, word
"""
_PROFILES = "SELECT value, profile_id FROM profile.identifier WHERE type = 'user_id'"
