"""Laws of two workers that meet the same people at once, on PostgreSQL: any order, any doubles, any
interleaving, and people who correct identity meanwhile."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.profile.storage.tables import SCHEMA
from services.profile.use_cases.verify_identity import verify_identity
from shared.errors import Conflict, Infrastructure, NotFound
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from tests.integration.profile.corrector import Corrector
from tests.integration.profile.test_two_workers import contiguous
from tests.integration.profile.worker import Worker, records
from tests.property.profile.test_identity_laws import histories
from tests.property.profile.test_profile_laws import facts, shown_facts, touchpoints
from tests.unit.profile.world import World, touchpoint

Bodies = Sequence[Mapping[str, Any]]
TABLES = (
    *("profile", "identifier", "merge", "cannot_link", "evidence", "deadline", "outbox"),
    *("touchpoint", "touchpoint_duplicate", "touchpoint_counter"),
)

laws = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ways = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**16),
        "sizes": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "doubled": st.floats(0, 0.6),
    }
)
"""How touchpoints come to two workers: in what order, in batches of what size, how often twice."""


async def cleared(worker: Worker) -> None:
    """Nobody was ever here."""
    names = ", ".join(f"{SCHEMA}.{name}" for name in TABLES)
    async with transaction(worker.engine) as tx:
        await tx.execute(text(f"TRUNCATE {names}"))


async def absorb(worker: Worker, bodies: Bodies, size: int, partition: int) -> None:
    """What one worker does with one partition, batch by batch, as its loop would."""
    for start in range(0, len(bodies), size):
        part = records(*bodies[start : start + size], partition=partition)
        while True:
            try:
                async with transaction(worker.engine) as tx:
                    handled = await worker.handler(part, tx)
                    await outbox.append(tx, handled.messages)
                break
            except Infrastructure:
                continue


async def at_two(worker: Worker, bodies: Bodies, way: Mapping[str, Any]) -> None:
    """All touchpoints, shuffled, some at both workers, at the same time."""
    chance = random.Random(way["seed"])
    parts: tuple[list[Mapping[str, Any]], ...] = ([], [])
    for body in chance.sample(bodies, len(bodies)):
        parts[chance.randrange(2)].append(body)
        if chance.random() < way["doubled"]:
            other = dict(body, raw=dict(body["raw"], partition=7))
            parts[chance.randrange(2)].append(other)
    await asyncio.gather(
        *(
            absorb(worker, part, size, partition)
            for partition, (part, size) in enumerate(zip(parts, way["sizes"], strict=True))
        )
    )


async def no_deadlock(worker: Worker) -> None:
    """Everybody locks in one order: nobody was ever chosen as a victim."""
    statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await worker.rows(statement) == [(0,)]


@laws
@given(touchpoints(), ways)
async def test_where_no_rule_fires_two_workers_make_the_people_that_one_alone_makes(
    worker: Worker, bodies: list[dict[str, Any]], way: dict[str, Any]
) -> None:
    alone = World(worker.rules)
    alone.take(*bodies)
    await cleared(worker)
    await at_two(worker, bodies, way)
    assert {shown_facts(person) for person in await worker.active()} == facts(alone)
    await contiguous(worker)
    await no_deadlock(worker)


@laws
@given(histories(), ways)
async def test_where_rules_fire_the_evidence_in_its_order_makes_the_same_bytes(
    worker: Worker, bodies: list[dict[str, Any]], way: dict[str, Any]
) -> None:
    await cleared(worker)
    await at_two(worker, bodies, way)
    people = await worker.active()
    for person in people:
        assert sum(one.type == "user_id" for one in person.identifiers) <= 1
    assert sum(one.computed.touchpoints for one in people) == len(bodies)
    assert (await verify_identity(worker.engine, worker.rules)).differences == []
    await contiguous(worker)
    await no_deadlock(worker)


async def correct(corrector: Corrector, seed: int, times: int) -> None:
    """Undo, split and merge at random while the workers work; what may not be is refused."""
    chance = random.Random(seed)
    for _ in range(times):
        await asyncio.sleep(chance.random() * 0.02)
        people = await corrector.worker.active()
        try:
            match chance.choice(("undo", "split", "merge")):
                case "undo" if open_ := await corrector.open_merges():
                    await corrector.undo(chance.choice(open_))
                case "split" if people:
                    one = chance.choice(people)
                    key = chance.choice(one.identifiers)
                    await corrector.split(one.id, [f"{key.type}\0{key.value}"])
                case "merge" if len(people) > 1:
                    await corrector.merge(*(one.id for one in chance.sample(people, 2)))
        except (Conflict, Infrastructure, NotFound):
            continue


@laws
@given(histories(), ways)
async def test_people_who_correct_identity_meanwhile_lose_nothing_either(
    worker: Worker, bodies: list[dict[str, Any]], way: dict[str, Any]
) -> None:
    await cleared(worker)
    await asyncio.gather(
        at_two(worker, bodies, way), correct(Corrector(worker), way["seed"], times=6)
    )
    people = await worker.active()
    for person in people:
        assert sum(one.type == "user_id" for one in person.identifiers) <= 1
    assert sum(one.computed.touchpoints for one in people) == len(bodies)
    assert (await verify_identity(worker.engine, worker.rules)).differences == []
    await contiguous(worker)
    await no_deadlock(worker)


async def test_two_workers_merge_two_profiles_into_each_other_at_once(worker: Worker) -> None:
    """A → B at the one, B → A at the other, many times: one merge, one survivor, the older one."""
    for number in range(20):
        a, b = ("email", f"a{number}@x.y"), ("phone", f"+3361234{number:04d}")
        start = number * 10
        await worker.absorb(touchpoint(start, a), touchpoint(start + 1, b))
        await asyncio.gather(
            absorb(worker, [touchpoint(start + 2, a, b)], 1, 0),
            absorb(worker, [touchpoint(start + 3, b, a)], 1, 1),
        )
    assert await worker.rows("SELECT count(*), count(DISTINCT loser) FROM merge") == [(20, 20)]
    assert await worker.rows("SELECT count(*) FROM merge WHERE winner > loser") == [(0,)]
    people = await worker.active()
    assert [one.computed.touchpoints for one in people] == [4] * 20
    await contiguous(worker)
    await no_deadlock(worker)
