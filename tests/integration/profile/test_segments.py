"""Segments on a real database: history, time, definitions that change, and SQL that agrees."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.profile.domain.definitions import Look
from services.profile.storage import population
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared import clock
from shared.conditions.parse import parse_condition
from shared.contracts.times import rfc3339
from shared.errors import Conflict, Unprocessable
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import order, touchpoint

TWICE = {"event": "Order Completed", "count": {"gte": 2}}
GOLD = {"attr": "profile.tier", "op": "eq", "value": "gold"}


def user(number: int) -> tuple[str, str]:
    return ("user_id", f"u{number}")


@pytest.fixture
async def definer(worker: Worker) -> Definer:
    """On a database whose first look at everybody is done."""
    made = Definer(worker)
    await made.settle()
    return made


async def members(worker: Worker) -> dict[str, list[str]]:
    """User -> segments."""
    return {one.identifiers[0].value: list(one.standing.segments) for one in await worker.active()}


async def told(worker: Worker, user_id: str) -> list[tuple[str, str, bool]]:
    """(kind, segment, backfill) of a user's updates that no touchpoint is the cause of."""
    return [
        (one["cause"]["kind"], one["cause"]["segment"], one["cause"].get("backfill", False))
        for one in await worker.updates()
        if "segment" in one["cause"]
        and {"type": "user_id", "value": user_id} in one["profile"]["identifiers"]
    ]


async def test_who_was_there_before_a_segment_enters_from_history_without_triggering(
    worker: Worker, definer: Definer
) -> None:
    await worker.absorb(*(order(n, user(n % 4)) for n in range(6)))
    await definer.segment("twice", TWICE)
    await worker.absorb(order(10, user(3)))  # before the sweeper has come so far
    await definer.settle()
    assert await members(worker) == {"u0": ["twice"], "u1": ["twice"], "u2": [], "u3": ["twice"]}
    assert await told(worker, "u3") == [("segment_entered", "twice", True)]
    await worker.absorb(order(11, user(2)))
    assert await told(worker, "u2") == [("segment_entered", "twice", False)]
    job = await definer.job("segment", "twice")
    assert (job.status, job.examined, job.of, job.changed) == ("done", 4, 4, 3)


async def test_a_segment_that_needs_no_history_is_decided_by_whoever_comes_first(
    worker: Worker, definer: Definer
) -> None:
    await worker.absorb(*(touchpoint(n, user(n), traits={"tier": "gold"}) for n in range(3)))
    await definer.segment("gold", GOLD)
    await worker.absorb(touchpoint(10, user(1)))
    assert await members(worker) == {"u0": [], "u1": ["gold"], "u2": []}
    await definer.settle()
    assert set(map(tuple, (await members(worker)).values())) == {("gold",)}
    assert [one for n in range(3) for one in await told(worker, f"u{n}")] == [
        ("segment_entered", "gold", True)
    ] * 3


async def test_redefined_and_archived_segments_are_left(worker: Worker, definer: Definer) -> None:
    await worker.absorb(*(order(n, user(n % 3)) for n in range(4)))
    await definer.segment("buyers", TWICE)
    await definer.settle()
    await definer.segment("buyers", {**TWICE, "count": {"gte": 1}})
    await definer.settle()
    assert set(map(tuple, (await members(worker)).values())) == {("buyers",)}
    await definer.segment("fans", {"segment": "buyers"})
    with pytest.raises(Conflict):
        await definer.archive("buyers")
    await definer.archive("fans")
    await definer.archive("buyers")
    await definer.settle()
    assert set(map(tuple, (await members(worker)).values())) == {()}
    assert (await told(worker, "u1"))[-1] == ("segment_left", "buyers", True)


async def test_circles_and_unknown_names_are_refused(worker: Worker, definer: Definer) -> None:
    with pytest.raises(Unprocessable) as refused:
        await definer.segment("a", {"segment": "b"})
    assert refused.value.problems[0].rule == "unknown_segment"
    await definer.segment("b", GOLD)
    await definer.segment("a", {"segment": "b"})
    with pytest.raises(Unprocessable) as refused:
        await definer.segment("b", {"any": [GOLD, {"segment": "a"}]})
    assert refused.value.problems[0].rule == "circle"
    assert "a" in refused.value.problems[0].message


async def test_a_window_is_left_when_its_time_has_come_and_no_earlier(
    worker: Worker, definer: Definer
) -> None:
    now = clock.now()
    await definer.segment("recent", {**TWICE, "within": "P30D"})
    await definer.settle()

    def bought(number: int, days_ago: float) -> dict[str, Any]:
        at = rfc3339(now - timedelta(days=days_ago))
        return {**order(number, user(1)), "occurred_at": at}

    await worker.absorb(bought(1, 40), bought(2, 20), bought(3, 10))
    assert await members(worker) == {"u1": ["recent"]}
    await definer.advance_clock(timedelta(days=10) - timedelta(minutes=5))
    assert await definer.sweep_all() == 0
    await definer.advance_clock(timedelta(minutes=10))
    assert await definer.sweep_all() == 1
    assert await members(worker) == {"u1": []}
    left = (await worker.updates())[-1]["cause"]
    assert (left["kind"], left["at"]) == ("segment_left", rfc3339(now + timedelta(days=10)))
    assert await worker.rows("SELECT * FROM deadline") == []


async def test_a_new_touchpoint_puts_the_deadline_off(worker: Worker, definer: Definer) -> None:
    await definer.segment("recent", {"event": "Order Completed", "within": "P1D"})
    now = clock.now()
    await worker.absorb({**order(1, user(1)), "occurred_at": rfc3339(now - timedelta(hours=23))})
    await worker.absorb({**order(2, user(1)), "occurred_at": rfc3339(now)})
    await definer.advance_clock(timedelta(hours=2))
    assert await definer.sweep_all() == 0
    assert await members(worker) == {"u1": ["recent"]}
    await definer.advance_clock(timedelta(days=30))
    assert await definer.sweep_all() == 1
    assert await members(worker) == {"u1": []}


async def test_merged_profiles_of_different_epochs_are_looked_at_again(
    worker: Worker, definer: Definer
) -> None:
    mail = ("email", "a@b.example")
    await worker.absorb(order(1, user(1)), order(2, mail))
    await definer.segment("twice", TWICE)
    assert await definer.backfill.advance(1) == 1
    assert (await definer.job("segment", "twice")).examined == 1
    await worker.absorb(touchpoint(3, user(1), mail))
    await definer.settle(1)
    assert await members(worker) == {"u1": ["twice"]}


async def test_windowed_segments_equal_a_full_recompute_after_any_history(
    worker: Worker, definer: Definer
) -> None:
    chance = random.Random(5)
    leaves = [
        {"event": "A", "count": {"gte": 2}, "within": "P3D"},
        {"event": "A", "count": {"eq": 1}, "within": "P1D"},
        {"event": "B", "count": {"lte": 1}, "within": "P2D"},
        {"event": "A", "where": {"attr": "event.n", "op": "gte", "value": 5}, "within": "P5D"},
        {"event": "B", "count": {"lt": 3}},
    ]
    for number, leaf in enumerate(leaves[:3]):
        await definer.segment(f"s{number}", leaf)
    now, past = clock.now(), list[tuple[str, str, int, datetime]]()
    passed = timedelta(0)
    for round_ in range(6):
        batch = []
        for n in range(12):
            ago = timedelta(hours=chance.randrange(24 * 6))
            who, kind, size = f"u{chance.randrange(4)}", chance.choice("AB"), chance.randrange(10)
            at = (now + passed - ago).replace(microsecond=0)
            past.append((who, kind, size, at))
            batch.append(
                {
                    **touchpoint(round_ * 100 + n, ("user_id", who), type=kind),
                    "occurred_at": rfc3339(at),
                    "properties": {"n": size},
                }
            )
        await worker.absorb_in_batches(batch, 5)
        if round_ == 2:
            for number, leaf in enumerate(leaves[3:], 3):
                await definer.segment(f"s{number}", leaf)
        step = timedelta(days=30) if round_ == 4 else timedelta(hours=chance.randrange(1, 40))
        await definer.advance_clock(step)
        passed += step
        await definer.settle()
        names = range(3 if round_ < 2 else 5)
        expected = {
            who: [f"s{n}" for n in names if recount(leaves[n], past, who, now + passed)]
            for who in {one[0] for one in past}
        }
        assert await members(worker) == expected, round_


def recount(
    leaf: dict[str, Any], past: list[tuple[str, str, int, datetime]], who: str, at: datetime
) -> bool:
    days = int(leaf["within"][1:-1]) if "within" in leaf else 10_000
    count = sum(
        1
        for one, kind, size, when in past
        if (one, kind) == (who, leaf["event"])
        and when + timedelta(days=days) > at
        and ("where" not in leaf or size >= 5)
    )
    ((op, bound),) = leaf.get("count", {"gte": 1}).items()
    truths: dict[str, bool] = {
        "gte": count >= bound,
        "eq": count == bound,
        "lte": count <= bound,
        "lt": count < bound,
    }
    return truths[op]


async def test_sql_counts_who_the_stream_says_are_members(worker: Worker, definer: Definer) -> None:
    conditions: dict[str, dict[str, Any]] = {
        "gold": GOLD,
        "twice": {**TWICE, "within": "P30D"},
        "busy": {"attr": "profile.computed.touchpoints", "op": "gte", "value": 3},
        "both": {"all": [{"segment": "gold"}, {"not": {"segment": "twice"}}]},
    }
    for key, condition in conditions.items():
        await definer.segment(key, condition)
    await definer.persona("rich", 1, {"segment": "gold"})
    at = rfc3339(clock.now())
    for n in range(12):
        tier = {"tier": "gold" if n % 5 % 2 else "tin\0"}
        await worker.absorb({**order(n, user(n % 5)), "traits": tier, "occurred_at": at})
    await definer.settle()
    found = await members(worker)
    async with transaction(worker.engine) as tx:
        look: Look = await LiveDefinitions().look(tx)
        for key, condition in conditions.items():
            parsed = parse_condition(condition, allow_event_leaves=True)
            count, sample = await population.matching(tx, parsed, look.definitions, sample=3)
            assert count == sum(key in segments for segments in found.values()), key
            assert len(sample) == min(count, 3)
        rich = await population.personas(tx)
    assert rich == {"rich": sum("gold" in segments for segments in found.values())} | {
        None: sum("gold" not in segments for segments in found.values())
    }


async def test_two_sweepers_and_a_worker_lose_nothing(worker: Worker, definer: Definer) -> None:
    await worker.absorb(*(order(n, user(n % 10)) for n in range(15)))
    await definer.segment("twice", TWICE)
    other = Definer(worker)
    await asyncio.gather(
        definer.settle(2),
        other.settle(2),
        worker.absorb(*(order(n, user(n % 10)) for n in range(15, 20))),
    )
    await definer.settle()
    assert set(map(tuple, (await members(worker)).values())) == {("twice",)}
    for n in range(10):
        assert [one[:2] for one in await told(worker, f"u{n}")] == [("segment_entered", "twice")]
