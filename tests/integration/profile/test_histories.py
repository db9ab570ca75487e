"""Generated conditions over generated histories: the stream, SQL and a naive count of everything
agree at random instants, through merges, undoes, splits and a clock that jumps."""

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.profile.storage import population
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared import clock
from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from shared.contracts.times import rfc3339
from shared.errors import Conflict, NotFound
from shared.postgres.transaction import transaction
from tests.integration.profile.corrector import Corrector
from tests.integration.profile.definer import Definer
from tests.integration.profile.test_two_workers import contiguous
from tests.integration.profile.worker import Worker
from tests.property.conditions import naive
from tests.unit.profile.world import touchpoint

Happened = tuple[str, int, datetime]
"""Type, size and instant of a touchpoint."""
ROUNDS = 7
JUMP_AT = 4
USERS, MAILS, BROWSERS = 4, 4, 5


def leaf(chance: random.Random) -> dict[str, Any]:
    """Something counted, for ever or in a window, or a trait, or a sum."""
    kind = chance.random()
    if kind < 0.15:
        return {"attr": "profile.tier", "op": chance.choice(["eq", "ne"]), "value": "gold"}
    if kind < 0.25:
        return {"attr": "profile.computed.touchpoints", "op": "gte", "value": chance.randint(2, 6)}
    found: dict[str, Any] = {"event": chance.choice("AB")}
    if chance.random() < 0.8:
        found["within"] = chance.choice(["P1D", "P2D", "P3D", "P5D", "PT36H"])
    if chance.random() < 0.8:
        op = chance.choice(["eq", "ne", "gt", "gte", "lt", "lte"])
        found["count"] = {op: chance.randint(0, 3)}
    if chance.random() < 0.3:
        found["where"] = {"attr": "event.n", "op": "gte", "value": 5}
    return found


def tree(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    """A condition of leaves, joined and turned round."""
    if depth == 0 or chance.random() < 0.3:
        return leaf(chance)
    if chance.random() < 0.25:
        return {"not": tree(chance, depth - 1)}
    parts = [tree(chance, depth - 1) for _ in range(chance.randint(1, 3))]
    return {chance.choice(["all", "any"]): parts}


def batch(chance: random.Random, start: int, now: datetime) -> list[dict[str, Any]]:
    """Touchpoints of people who share mailboxes and browsers, some of them long ago."""
    named = (
        [("user_id", f"u{n}") for n in range(USERS)]
        + [("email", f"m{n}@x.y") for n in range(MAILS)]
        + [("anonymous_id", f"b{n}") for n in range(BROWSERS)]
    )
    bodies = []
    for number in range(start, start + 14):
        ids = chance.sample(named, k=chance.choice((1, 1, 2)))
        at = now.replace(microsecond=0) - timedelta(minutes=chance.randrange(60 * 24 * 6))
        body = touchpoint(number, *ids, type=chance.choice("AB"), occurred_at=rfc3339(at))
        body["properties"] = {"n": chance.randrange(10)}
        if chance.random() < 0.3:
            body["traits"] = {"tier": chance.choice(["gold", "tin"])}
        bodies.append(body)
    return bodies


async def correct(corrector: Corrector, chance: random.Random) -> str:
    """One correction of identity, whichever is possible; what was done."""
    people = await corrector.worker.active()
    what = chance.choice(("undo", "undo", "split", "merge"))
    try:
        if what == "undo" and (open_ := await corrector.open_merges()):
            await corrector.undo(chance.choice(open_))
        elif what == "split":
            one = chance.choice(people)
            key = chance.choice(one.identifiers)
            await corrector.split(one.id, [f"{key.type}\0{key.value}"])
        else:
            await corrector.merge(*(one.id for one in chance.sample(people, 2)))
    except (Conflict, NotFound):
        return "refused"
    return what


async def histories(worker: Worker) -> dict[str, list[Happened]]:
    """What happened to each profile, read from the touchpoints themselves."""
    found: dict[str, list[Happened]] = defaultdict(list)
    for owner, body in await worker.rows(
        "SELECT i.profile_id::text, t.body FROM touchpoint t JOIN identifier i ON i.id = t.anchor"
    ):
        read = msgspec.json.decode(body)
        at = datetime.fromisoformat(read["occurred_at"])
        found[owner].append((read["type"], read["properties"]["n"], at))
    return found


def counted(asked: EventCount, past: list[Happened], now: datetime) -> int:
    """One by one, from the whole history."""
    return sum(
        type_ == asked.event
        and (asked.where is None or size >= 5)
        and (asked.within is None or at + asked.within > now)
        for type_, size, at in past
    )


def event_leaves(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The leaves of a condition that count something."""
    if "event" in document:
        return [document]
    parts = [document["not"]] if "not" in document else []
    parts = document.get("all", document.get("any", parts))
    return [one for part in parts for one in event_leaves(part)]


async def by_recount(worker: Worker, trees: dict[str, Any]) -> dict[str, list[str]]:
    """Profile -> the trees that hold, by the naive interpreter over everything there is."""
    ((now,),) = await worker.rows("SELECT clock.now()")
    past = await histories(worker)
    found = {}
    for person in await worker.active():
        mine = past[person.id]
        leaves = {}
        for document in (one for root in trees.values() for one in event_leaves(root)):
            asked = parse_condition(document, allow_event_leaves=True)
            assert isinstance(asked, EventCount)
            leaves[leaf_hash(asked)] = {"count": counted(asked, mine, now.astimezone(UTC))}
        facts = Facts(profile=person.traits, computed={"touchpoints": len(mine)}, leaves=leaves)
        found[person.id] = sorted(key for key, root in trees.items() if naive.holds(root, facts))
    return found


async def by_stream(worker: Worker) -> dict[str, list[str]]:
    return {one.id: sorted(one.standing.segments) for one in await worker.active()}


async def by_sql(worker: Worker, trees: dict[str, Any]) -> dict[str, int]:
    async with transaction(worker.engine) as tx:
        look = await LiveDefinitions().look(tx)
        return {
            key: (
                await population.matching(
                    tx,
                    parse_condition(root, allow_event_leaves=True),
                    look.definitions,
                    sample=1,
                )
            )[0]
            for key, root in trees.items()
        }


@pytest.mark.parametrize("seed", [11, 12, 13])
async def test_memberships_are_what_a_full_recompute_says_at_every_instant(
    worker: Worker, seed: int
) -> None:
    chance, definer, corrector = random.Random(seed), Definer(worker), Corrector(worker)
    trees = {f"s{n}": tree(chance) for n in range(5)}
    for key, root in trees.items():
        await definer.segment(key, root)
    began, passed, done = clock.now(), timedelta(0), []
    for round_ in range(ROUNDS):
        await worker.absorb_in_batches(batch(chance, round_ * 100, began + passed), 5)
        done += [await correct(corrector, chance) for _ in range(3)]
        if round_ == 2:
            late = {f"s{n}": tree(chance) for n in range(5, 8)}
            for key, root in late.items():
                await definer.segment(key, root)
            trees |= late
        step = (
            timedelta(days=30) if round_ == JUMP_AT else timedelta(minutes=chance.randrange(3000))
        )
        await definer.advance_clock(step)
        passed += step
        await definer.settle()
        expected = await by_recount(worker, trees)
        assert await by_stream(worker) == expected, (round_, done)
        counts = {key: sum(key in held for held in expected.values()) for key in trees}
        assert await by_sql(worker, trees) == counts, (round_, done)
    await contiguous(worker)
    assert {"undo", "split"} <= set(done)
