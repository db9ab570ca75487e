"""Traits on a real database: policies that change, values that time changes, and naive recounts."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.profile.storage import population
from services.profile.storage.definition_kind import Kind
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.undo_merge import undo_merge
from shared import clock
from shared.conditions.parse import parse_condition
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict, Unprocessable
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import WHO, Definer
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

MAIL = ("email", "a@b.example")


def user(number: int) -> tuple[str, str]:
    return ("user_id", f"u{number}")


@pytest.fixture
async def definer(worker: Worker) -> Definer:
    """On a database whose first look at everybody is done."""
    made = Definer(worker)
    await made.settle()
    return made


async def values(worker: Worker, name: str) -> dict[str, Any]:
    """User -> value of a trait, of a computed one by `computed.<name>`."""
    found = {}
    for one in await worker.active():
        holder = one.standing.computed if name.startswith("computed.") else one.traits
        found[one.identifiers[0].value] = holder.get(name.removeprefix("computed."))
    return found


async def told(worker: Worker) -> list[tuple[str, list[str], bool]]:
    """User, traits and `backfill` of every update that only says that traits changed."""
    return [
        (
            one["profile"]["identifiers"][0]["value"],
            one["cause"]["traits"],
            one["cause"].get("backfill", False),
        )
        for one in await worker.updates()
        if one["cause"]["kind"] == "trait_changed"
    ]


async def test_another_policy_reaches_everybody_from_history_and_is_told_as_backfill(
    worker: Worker, definer: Definer
) -> None:
    for n, (who, tier) in enumerate([(0, 3), (1, 9), (0, 7), (1, "gold"), (0, 5), (2, 4)]):
        await worker.absorb(touchpoint(n, user(who), traits={"tier": tier}))
    await definer.trait("tier", type="integer", policy="highest")
    await worker.absorb(touchpoint(10, user(2), traits={"city": "Lyon"}))
    assert await values(worker, "tier") == {"u0": 5, "u1": "gold", "u2": 4}
    await definer.settle()
    assert await values(worker, "tier") == {"u0": 7, "u1": 9, "u2": 4}
    assert sorted(await told(worker)) == [("u0", ["tier"], True), ("u1", ["tier"], True)]
    job = await definer.job("trait", "tier")
    assert (job.status, job.examined, job.of, job.changed) == ("done", 3, 3, 2)

    await definer.trait("tier", type="integer", policy="first")
    await definer.settle()
    assert await values(worker, "tier") == {"u0": 3, "u1": 9, "u2": 4}
    await worker.absorb(touchpoint(20, user(2), traits={"tier": 1}))
    assert (await values(worker, "tier"))["u2"] == 4
    await definer.archive("tier", Kind.TRAIT)
    await definer.settle()
    assert await values(worker, "tier") == {"u0": 5, "u1": "gold", "u2": 1}


async def test_other_trusted_sources_need_no_history_and_move_segments(
    worker: Worker, definer: Definer
) -> None:
    await worker.absorb(
        touchpoint(1, user(0), source="crm", traits={"tier": "gold"}),
        touchpoint(2, user(0), source="shop", traits={"tier": "tin"}),
    )
    await definer.segment("gold", {"attr": "profile.tier", "op": "eq", "value": "gold"})
    rule = {"type": "string", "policy": "source_priority"}
    await definer.trait("tier", **rule, sources=["shop"])
    await definer.settle()
    assert await values(worker, "tier") == {"u0": "tin"}
    await definer.trait("tier", **rule, sources=["crm", "shop"])
    await definer.settle()
    assert await values(worker, "tier") == {"u0": "gold"}
    (person,) = await worker.active()
    assert list(person.standing.segments) == ["gold"]


async def test_a_computed_trait_is_found_from_history_shown_and_asked_for(
    worker: Worker, definer: Definer
) -> None:
    for n, total in enumerate(["10.10", 0.2, 7, "free"]):
        await worker.absorb(touchpoint(n, user(n % 2), type="Bought", properties={"total": total}))
    await worker.absorb(touchpoint(9, user(2)))
    await definer.trait(
        "spent", computed={"event": "Bought", "aggregate": "sum", "of": "event.total"}
    )
    rich = {"attr": "profile.computed.spent", "op": "gte", "value": 10}
    await definer.segment("rich", rich)
    await definer.settle()
    assert await values(worker, "computed.spent") == {"u0": b'"17.1"', "u1": b'"0.2"', "u2": b'"0"'}
    assert sorted(await told(worker)) == [
        ("u0", ["computed.spent"], True),
        ("u1", ["computed.spent"], True),
    ]
    await worker.absorb(touchpoint(20, user(1), type="Bought", properties={"total": 9.8}))
    assert {
        one.identifiers[0].value: list(one.standing.segments) for one in await worker.active()
    } == {"u0": ["rich"], "u1": ["rich"], "u2": []}
    async with transaction(worker.engine) as tx:
        look = await LiveDefinitions().look(tx)
        condition = parse_condition({"any": [rich, {**rich, "op": "eq", "value": 0}]})
        assert (await population.matching(tx, condition, look.definitions, sample=1))[0] == 3
    with pytest.raises(Conflict):
        await definer.archive("spent", Kind.TRAIT)
    await definer.archive("rich")
    await definer.archive("spent", Kind.TRAIT)
    await definer.settle()
    assert await values(worker, "computed.spent") == {"u0": None, "u1": None, "u2": None}


async def test_conditions_are_checked_against_types_both_ways(definer: Definer) -> None:
    await definer.trait("tier", type="integer")
    await definer.trait("visits", computed={"event": "A", "aggregate": "count"})
    for condition, rule in (
        ({"attr": "profile.tier", "op": "eq", "value": "gold"}, "trait_type"),
        ({"attr": "profile.computed.visits", "op": "starts_with", "value": "1"}, "trait_type"),
        ({"attr": "profile.computed.visit", "op": "gte", "value": 1}, "unknown_trait"),
    ):
        with pytest.raises(Unprocessable) as refused:
            await definer.segment("wrong", condition)
        assert [one.rule for one in refused.value.problems] == [rule]
    await definer.segment("right", {"attr": "profile.tier", "op": "gte", "value": 3})
    with pytest.raises(Unprocessable) as refused:
        await definer.trait("tier", type="string")
    assert refused.value.problems[0].rule == "in_use"
    with pytest.raises(Unprocessable) as refused:
        await definer.publish(Kind.TRAIT, "other", {"name": "tier", "type": "integer"})
    assert refused.value.problems[0].rule == "unique"


AGGREGATES: dict[str, dict[str, Any]] = {
    "n": {"event": "A", "aggregate": "count"},
    "n3": {"event": "A", "aggregate": "count", "within": "P3D"},
    "sum2": {"event": "A", "aggregate": "sum", "of": "event.n", "within": "P2D"},
    "max5": {"event": "B", "aggregate": "max", "of": "event.n", "within": "P5D"},
    "mean": {"event": "B", "aggregate": "average", "of": "event.n"},
    "kinds4": {"event": "A", "aggregate": "distinct_count", "of": "event.n", "within": "P4D"},
    "last": {"event": "A", "aggregate": "last", "of": "event.n"},
    "top": {"event": "B", "aggregate": "most_frequent", "of": "event.n"},
    "quiet": {"event": "A", "aggregate": "days_since"},
}


def recount(name: str, past: list[tuple[str, int, datetime]], now: datetime) -> bytes | None:
    """The aggregate by looking at everything, one by one."""
    asked = AGGREGATES[name]
    days = int(asked.get("within", "P9999D")[1:-1])
    mine = sorted(
        (at, n) for kind, n, at in past
        if kind == asked["event"] and at + timedelta(days=days) > now
    )  # fmt: skip
    numbers = [n for _, n in mine]
    if asked["aggregate"] == "count":
        return b"%d" % len(numbers)
    if asked["aggregate"] == "distinct_count":
        return b"%d" % len(set(numbers))
    if asked["aggregate"] == "sum":
        return b'"%d"' % sum(numbers)
    if not numbers:
        return None
    if asked["aggregate"] == "max":
        return b'"%d"' % max(numbers)
    if asked["aggregate"] == "last":
        return b"%d" % numbers[-1]
    if asked["aggregate"] == "days_since":
        return b"%d" % ((now - mine[-1][0]) // timedelta(days=1))
    if asked["aggregate"] == "average":
        mean = (Decimal(sum(numbers)) / len(numbers)).quantize(Decimal("0.00000001"))
        return f'"{mean.normalize():f}"'.encode()
    return b"%d" % min(set(numbers), key=lambda n: (-numbers.count(n), n))


async def test_computed_traits_equal_a_full_recompute_after_any_history_and_passage_of_time(
    worker: Worker, definer: Definer
) -> None:
    chance = random.Random(7)
    names = list(AGGREGATES)
    for name in names[:5]:
        await definer.trait(name, computed=AGGREGATES[name])
    start, passed = clock.now(), timedelta(0)
    past: list[tuple[str, str, int, datetime]] = []
    for round_ in range(6):
        batch = []
        for n in range(12):
            ago = timedelta(minutes=chance.randrange(60 * 24 * 6))
            who, kind, size = f"u{chance.randrange(3)}", chance.choice("AB"), chance.randrange(5)
            at = (start + passed - ago).replace(microsecond=0)
            past.append((who, kind, size, at))
            batch.append(
                {
                    **touchpoint(round_ * 100 + n, ("user_id", who), type=kind),
                    "occurred_at": rfc3339(at),
                    "properties": {"n": size},
                }
            )
        batch += batch[:3]
        chance.shuffle(batch)
        await worker.absorb_in_batches(batch, 5)
        if round_ == 2:
            for name in names[5:]:
                await definer.trait(name, computed=AGGREGATES[name])
        step = timedelta(days=30) if round_ == 4 else timedelta(minutes=chance.randrange(1, 2500))
        await definer.advance_clock(step)
        passed += step
        await definer.settle()
        async with transaction(worker.engine) as tx:
            now = datetime.fromtimestamp((await LiveDefinitions().look(tx)).now / 1000, UTC)
        for one in await worker.active():
            mine = [row[1:] for row in past if row[0] == one.identifiers[0].value]
            for name in names if round_ >= 2 else names[:5]:
                assert one.standing.computed.get(name) == recount(name, mine, now), (round_, name)


async def test_a_merge_adds_up_and_its_undoing_gives_each_its_own_again(
    worker: Worker, definer: Definer
) -> None:
    asked = {"event": "A", "aggregate": "sum", "of": "event.n", "within": "P3D"}
    await definer.trait("total", computed=asked)
    at = rfc3339(clock.now())
    for n, who in enumerate([user(0), MAIL, MAIL]):
        await worker.absorb(
            {
                **touchpoint(n, who, type="A"),
                "occurred_at": at,
                "properties": {"n": 2**n},
            }
        )
    await worker.absorb(touchpoint(10, user(0), MAIL))
    (person,) = await worker.active()
    assert person.standing.computed["total"] == b'"7"'
    ((merge,),) = await worker.rows("SELECT id::text FROM merge")
    async with transaction(worker.engine) as tx:
        await undo_merge(
            tx,
            merge,
            why="a test",
            who=WHO,
            may_replace=lambda _: None,
            rules=worker.rules,
            live=LiveDefinitions(),
            topics=Topics(),
            counts=worker.counts,
        )
    assert sorted((await values(worker, "computed.total")).values()) == [b'"1"', b'"6"']
    await definer.settle()
    assert sorted((await values(worker, "computed.total")).values()) == [b'"1"', b'"6"']
