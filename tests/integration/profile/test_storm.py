"""A storm of merges on one partition beside ordinary work on the others: how long it takes, and
what the others feel of it, through a worker process as it runs for users.

`CONCERT_STORM=500 python -m pytest -s tests/integration/profile/test_storm.py` is a smaller one.
The caps are lifted as far as needed, so that every login is a merge.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from bench.machine import cpu_seconds, load_average
from services.profile.storage.tables import SCHEMA
from services.profile.use_cases.edit_identity_rules import (
    publish_identity_rules,
    save_identity_rules,
)
from shared.contracts.topics import Topics
from shared.kafka.factory import build_producer
from shared.postgres.audit import Who
from shared.postgres.engine import create_engine
from tests.integration.profile.worker import Worker
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish, read_all
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack
from tests.unit.profile.world import touchpoint

SIZE = int(os.environ.get("CONCERT_STORM", "3000"))
STORMY, PARTITIONS = 0, 8
"""The partition of the storm; the others' work is on the other seven."""
RATE = 50
"""Touchpoints a second on the other partitions."""
CALM_SECONDS = 5.0
AT_ONCE = 1000
MOST_SECONDS = 30.0
MOST_TIMES = 2.0
FLOOR_MS = 100
"""The others' p99 may be so many times what it is without a storm, or this where that is less: a
quiet machine has a p99 of 70 to 100 ms, which one checkpoint of the database moves."""
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {
    "types": {
        "user_id": {"priority": 1, "veto": True},
        "anonymous_id": {"priority": 100, "limit": 100, "within": "P1D", "role": "device"},
    },
    "max_identifiers": 10_000,
    "max_merges": 10_000,
}


def visit(number: int, name: str, *identifiers: tuple[str, str]) -> dict[str, Any]:
    """A touchpoint of that hour since the year began."""
    at = (SINCE + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return touchpoint(
        number,
        *identifiers,
        message_id=f"{name}{number}",
        occurred_at=at,
        received_at=at,
        traits={"first_name": f"Ada {number % 7}"},
        context={"timezone": "Europe/Paris"},
    )


@dataclass(slots=True)
class Scene:
    """A worker that runs, and what goes through it. `neighbours` are the touchpoints of the others:
    id -> milliseconds since 1970 at which each was published."""

    kafka: str
    topics: Topics
    owner: asyncpg.Connection
    neighbours: dict[str, int] = field(default_factory=dict)

    async def send(self, bodies: Sequence[dict[str, Any]]) -> None:
        """Publish to the stormy partition."""
        messages = [
            Message(self.topics.touchpoints, msgspec.json.encode(body), b"k", partition=STORMY)
            for body in bodies
        ]
        for start in range(0, len(messages), AT_ONCE):
            await publish(self.kafka, messages[start : start + AT_ONCE])

    async def until_passed(self, count: int) -> None:
        """Wait until so many records of the stormy partition are applied."""
        query = (
            "SELECT coalesce(sum(next_offset), 0) FROM profile.lease WHERE topic = $1 AND part = $2"
        )
        await eventually(
            lambda: self.owner.fetchval(query, self.topics.touchpoints, STORMY),
            until=lambda found: found >= count,
            within=300,
            what="the storm is over",
        )

    async def until_told(self, count: int) -> None:
        """Wait until so many records of all partitions are applied, and every update is out."""
        query = (
            "SELECT coalesce(sum(next_offset), 0) FROM profile.lease "
            "WHERE topic = $1 AND NOT EXISTS (SELECT FROM profile.outbox)"
        )
        await eventually(
            lambda: self.owner.fetchval(query, self.topics.touchpoints),
            until=lambda found: found >= count,
            what="everything is told",
        )

    async def live_next_door(self, over: Callable[[], bool]) -> list[str]:
        """Ordinary people on the other partitions, at a steady rate; the ids of what they did."""
        producer = build_producer(self.kafka, client_id="neighbours")
        await producer.start()
        done: list[str] = []
        next_at = time.monotonic()
        try:
            while not over():
                number = len(self.neighbours)
                body = touchpoint(0, ("email", f"n{number}@x.y"), message_id=f"n{number}")
                sent = await producer.send_and_wait(
                    self.topics.touchpoints,
                    msgspec.json.encode(body),
                    partition=STORMY + 1 + number % (PARTITIONS - 1),
                )
                self.neighbours[body["id"]] = sent.timestamp
                done.append(body["id"])
                next_at += 1 / RATE
                await asyncio.sleep(max(next_at - time.monotonic(), 0))
        finally:
            await producer.stop()
        return done

    async def latencies(self) -> dict[str, int]:
        """Milliseconds from the publication of each of the others' touchpoints to that of its
        update, by the touchpoint's id."""
        found: dict[str, int] = {}
        for record in await read_all(self.kafka, self.topics.profile_updates):
            cause = msgspec.json.decode(record.value)["cause"]
            if cause["id"] in self.neighbours:
                found[cause["id"]] = record.timestamp - self.neighbours[cause["id"]]
        return found


@pytest.fixture
async def scene(
    stack: Stack, database: Database, topics: Topics, roles: RoleProcesses
) -> AsyncIterator[Scene]:
    """A worker with the caps lifted."""
    engine = create_engine(database.profile, schema=SCHEMA, application="test")
    who = Who("t", "test")
    await save_identity_rules(engine, RULES, may_replace=lambda _: None, who=who)
    await publish_identity_rules(engine, may_replace=lambda _: None, who=who)
    await engine.dispose()
    await roles.start_ready("profile", "worker")
    owner = await asyncpg.connect(database.owner_url)
    yield Scene(stack.kafka, topics, owner)
    await owner.close()


def at(found: Sequence[int], share: float) -> int:
    """The value below which that share of the values is."""
    return sorted(found)[min(int(len(found) * share), len(found) - 1)]


@dataclass(frozen=True, slots=True)
class Storm:
    """What was measured of one: seconds it took, CPU seconds of the worker, and the others'
    latencies in milliseconds without it (before and afterwards) and during it."""

    took: float
    worked: float
    calm: list[int]
    stormy: list[int]

    def __str__(self) -> str:
        return (
            f"{SIZE} merges into one person: {self.took:.1f} s ({self.worked:.1f} s of CPU in the "
            f"worker); the others' median and p99: {at(self.calm, 0.5)} and "
            f"{at(self.calm, 0.99)} ms without, {at(self.stormy, 0.5)} and "
            f"{at(self.stormy, 0.99)} ms during it; load {load_average():.1f}"
        )


async def rage(scene: Scene, worker: dict[str, int]) -> Storm:
    """Everybody who visited logs in as the same person."""
    visitors = [("anonymous_id", f"v{n}") for n in range(SIZE)]
    user = ("user_id", "everybody")
    await scene.send([visit(n, "visit", one) for n, one in enumerate(visitors)])
    await scene.until_passed(SIZE)
    await scene.until_told(SIZE + len(scene.neighbours))
    calm = await scene.live_next_door(after(CALM_SECONDS))
    over = asyncio.Event()
    next_door = asyncio.create_task(scene.live_next_door(over.is_set))
    cpu, began = cpu_seconds(worker), time.monotonic()
    await scene.send([visit(n, "login", user, one) for n, one in enumerate(visitors)])
    await scene.until_passed(2 * SIZE)
    took = time.monotonic() - began
    worked = cpu_seconds(worker)["worker"] - cpu["worker"]
    over.set()
    stormy = await next_door
    await scene.until_told(2 * SIZE + len(scene.neighbours))
    calm += await scene.live_next_door(after(CALM_SECONDS))
    await scene.until_told(2 * SIZE + len(scene.neighbours))
    found = await scene.latencies()
    return Storm(took, worked, [found[one] for one in calm], [found[one] for one in stormy])


def after(seconds: float) -> Callable[[], bool]:
    """Whether so much time is over since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


@pytest.mark.timeout(900)
async def test_a_storm_ends_in_time_and_the_others_hardly_feel_it(
    scene: Scene, roles: RoleProcesses, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = await rage(scene, {"worker": roles.started[0].pid})
    with capsys.disabled():
        print(f"\n{storm}")
    merges, seq = await scene.owner.fetchrow(
        "SELECT (SELECT count(*) FROM profile.merge), (SELECT max(seq) FROM profile.profile)"
    )
    assert merges == SIZE - 1
    assert seq == 2 * SIZE
    assert storm.took <= MOST_SECONDS
    assert at(storm.stormy, 0.99) <= MOST_TIMES * max(at(storm.calm, 0.99), FLOOR_MS)


async def test_a_thousand_ids_of_one_person_in_one_batch(worker: Worker) -> None:
    bodies = [visit(8 * n, "day", ("user_id", "u"), ("device_id", f"d{n}")) for n in range(1000)]
    began = time.monotonic()
    await worker.absorb(*bodies)
    assert time.monotonic() - began <= MOST_SECONDS
    (person,) = await worker.active()
    assert (person.computed.touchpoints, len(person.identifiers)) == (1000, 1000)
