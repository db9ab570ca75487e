"""One slot under a cap, two workers and two pollers: 10,000 decisions over 1,000 people, and never
one contact too many, in any window that contains it.

Everybody is two profiles that turned out to be one person: each half's touchpoints come from
another partition, so that two workers decide about the same people at the same time, each with
connections of its own, while pollers release what waited.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.use_cases.fire_timers import fire_timers
from services.orchestrator.use_cases.respond import Responder
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.records import Record
from shared.postgres import outbox
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.conftest import SCHEMA
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.unit.orchestrator.build import (
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    touchpoint_json,
    uid,
)

PEOPLE, ROUNDS, BATCH = 1_000, 5, 50
DAY, STEP = timedelta(days=1), timedelta(hours=7)
TOKYO = ZoneInfo("Asia/Tokyo")
RULES = (
    rule("now", category="marketing"),
    rule("later", "Page Viewed", category="marketing",
         actions=[email(channel="sms", delay="PT3H", expires_in="P2D")]),
)  # fmt: skip
ROLLING = {"limit": 1, "window": "P1D", "scope": {"category": "marketing"}}
CALENDAR = {"limit": 2, "window": "P7D", "kind": "calendar"}


@pytest.fixture
async def workers(stage: Stage) -> AsyncIterator[list[AsyncEngine]]:
    """Two engines with connections of their own."""
    url = stage.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    made = [create_engine(url, schema=SCHEMA, application=f"worker-{n}") for n in range(2)]
    yield made
    for engine in made:
        await engine.dispose()


def half(n: int, which: int) -> str:
    """The first or the second profile of a person; the first, the older one, stands for both."""
    return sorted(uid(f"person-{n}-{one}") for one in "ab")[which]


def seen(profile_id: str) -> dict[str, object]:
    traits = {"first_name": "Ada", "phone": "+33123456789"}
    return profile_json(profile_id, timezone="Asia/Tokyo", traits=traits)


async def test_never_one_contact_too_many(stage: Stage, workers: list[AsyncEngine]) -> None:
    stage.rules = ruleset(*RULES, policies=[policy(ROLLING, CALENDAR)])
    for start in range(0, PEOPLE, 200):
        await stage.respond(
            *(
                stage.record(
                    half(n, 0), {"kind": "merged"}, profile=seen(half(n, 0)), merged_from=half(n, 1)
                )
                for n in range(start, start + 200)
            )
        )
    for turn in range(ROUNDS):
        now = await stage.now()
        streams = [
            [_record(stage, turn, n, which, now) for n in range(PEOPLE)] for which in range(2)
        ]
        streams[1].reverse()
        done = asyncio.Event()
        pollers = [asyncio.create_task(_poll(stage, engine, done)) for engine in workers]
        await asyncio.gather(
            *(_work(stage, engine, stream) for engine, stream in zip(workers, streams, strict=True))
        )
        done.set()
        await asyncio.gather(*pollers)
        await stage.advance(STEP)
    await stage.advance(2 * DAY)
    while await stage.fire():
        pass
    await _check(stage)


def _record(stage: Stage, turn: int, n: int, which: int, now: datetime) -> Record:
    event = ("Cart Updated", "Page Viewed")[(turn + n + which) % 2]
    cause = touchpoint_json(f"{turn}-{n}-{which}", event, at=now, received=now)
    return stage.record(half(n, which), cause, profile=seen(half(n, 0)))


async def _work(stage: Stage, engine: AsyncEngine, stream: Sequence[Record]) -> None:
    """One worker's partition, batch by batch; a batch that PostgreSQL refused is tried again."""
    responder = Responder(ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS)
    for start in range(0, len(stream), BATCH):
        while True:
            try:
                async with transaction(engine) as tx:
                    handled = await responder(stream[start : start + BATCH], tx)
                    await outbox.append(tx, handled.messages)
                break
            except Infrastructure:
                continue


async def _poll(stage: Stage, engine: AsyncEngine, done: asyncio.Event) -> None:
    while not done.is_set():
        await fire_timers(
            engine, ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS, limit=50
        )
        await asyncio.sleep(0)


async def _check(stage: Stage) -> None:
    decisions = [one.value for one in await stage.messages("decisions")]
    asked = [one for one in decisions if one["candidates"]]
    assert len(asked) == 2 * ROUNDS * PEOPLE == 10_000
    assert len({one["id"] for one in decisions}) == len(decisions)
    made = await stage.rows(
        "SELECT profile_id::text AS who, at FROM contact_ledger WHERE status = 'made' ORDER BY at"
    )
    sent = [
        one.value
        for channel in ("email", "sms")
        for one in await stage.messages(f"actions.{channel}")
    ]
    assert len(made) == len(sent) == len({one["action_id"] for one in sent})
    by_person: dict[str, list[datetime]] = {half(n, 0): [] for n in range(PEOPLE)}
    for row in made:
        by_person[row.who].append(row.at)
    for instants in by_person.values():
        assert instants, "somebody had the slot"
        gaps = [later - earlier for earlier, later in pairwise(instants)]
        assert all(gap >= DAY for gap in gaps)
        weeks = [tuple(at.astimezone(TOKYO).isocalendar())[:2] for at in instants]
        assert max(weeks.count(week) for week in weeks) <= 2
    stages = {one["candidates"][0]["stage"] for one in asked}
    assert stages == {"chosen", "cap"}
