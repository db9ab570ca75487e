"""Two workers meet the same people at once: one profile, no fact lost, no number missing."""

import asyncio
import random
from typing import Any

import pytest

from services.profile.storage import profiles
from services.profile.use_cases.verify_identity import verify_identity
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker
from tests.property.profile.test_profile_laws import facts, shown_facts
from tests.support.eventually import eventually
from tests.unit.profile.world import World, order, touchpoint

USER, MAIL, PHONE = ("user_id", "u"), ("email", "e@x.y"), ("phone", "+33612345678")


async def both(worker: Worker, first: list[Any], second: list[Any]) -> None:
    """The first batch is applied but not committed while the second one is tried."""
    async with transaction(worker.engine) as tx:
        await worker.handle(tx, *first)
        behind = asyncio.create_task(worker.absorb(*second))
        await eventually(lambda: _waiting(worker), what="the second worker waits for a lock")
    await behind


async def _waiting(worker: Worker) -> bool:
    found = await worker.rows(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(found[0][0])


async def contiguous(worker: Worker) -> None:
    """Every profile's updates are numbered 1, 2, 3 … in the order they will be published."""
    numbers: dict[str, list[int]] = {}
    for update in await worker.updates():
        numbers.setdefault(update["profile_id"], []).append(update["seq"])
    for profile_id, found in numbers.items():
        assert found == list(range(1, len(found) + 1)), profile_id
    stored = await worker.rows("SELECT id::text, seq FROM profile")
    assert {id_: len(found) for id_, found in numbers.items()} == dict(stored)


async def test_a_new_person_is_created_once(worker: Worker) -> None:
    await both(
        worker,
        [touchpoint(1, MAIL), touchpoint(2, USER, MAIL)],
        [order(3, PHONE, MAIL, total=5, currency="EUR"), touchpoint(4, PHONE)],
    )
    (person,) = await worker.active()
    assert person.computed[:3] == (4, 1, {"EUR": "5.00"})
    assert len(person.identifiers) == 3
    assert await worker.rows("SELECT count(*) FROM profile") == [(1,)]
    await contiguous(worker)


async def test_the_same_new_identifiers_in_another_order_are_no_deadlock(worker: Worker) -> None:
    await both(
        worker,
        [touchpoint(1, ("email", "a")), touchpoint(2, ("email", "b"))],
        [touchpoint(3, ("email", "b")), touchpoint(4, ("email", "a"))],
    )
    people = await worker.active()
    assert [one.computed.touchpoints for one in people] == [2, 2]
    await contiguous(worker)


async def test_who_is_merged_meanwhile_is_found_again(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL), touchpoint(2, PHONE))
    await both(worker, [touchpoint(3, MAIL, PHONE)], [touchpoint(4, PHONE), touchpoint(5, PHONE)])
    (person,) = await worker.active()
    assert person.computed.touchpoints == 5
    await contiguous(worker)


async def test_a_profile_id_of_who_is_merged_meanwhile_is_followed(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL), touchpoint(2, PHONE))
    loser = (await worker.active())[1].id
    await both(worker, [touchpoint(3, MAIL, PHONE)], [touchpoint(4, ("profile_id", loser))])
    (person,) = await worker.active()
    assert person.computed.touchpoints == 4
    await contiguous(worker)


async def test_the_same_touchpoint_at_both_counts_once(worker: Worker) -> None:
    again = {**touchpoint(1, MAIL), "raw": {"topic": "channel.web", "partition": 5, "offset": 1}}
    await both(worker, [touchpoint(1, MAIL), touchpoint(2, USER)], [again, touchpoint(3, USER)])
    assert sum(one.computed.touchpoints for one in await worker.active()) == 3
    assert await worker.rows("SELECT count(*) FROM touchpoint_duplicate") == [(1,)]
    await contiguous(worker)


async def test_a_lock_that_was_waited_for_may_be_on_a_merged_profile(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the owners are read again after the locks."""
    await worker.absorb(touchpoint(1, MAIL), touchpoint(2, PHONE))
    loser = (await worker.active())[1].id
    seen: list[str] = []
    lock = profiles.lock

    async def noting(*args: Any, **named: Any) -> Any:
        locked = await lock(*args, **named)
        seen.extend(one.status for one in locked.values() if one.id == loser)
        return locked

    monkeypatch.setattr(profiles, "lock", noting)
    await both(worker, [touchpoint(3, MAIL, PHONE)], [touchpoint(4, PHONE)])
    assert seen == ["active", "merged"]


def crowd(seed: int, count: int) -> list[dict[str, Any]]:
    """Touchpoints of forty people, each with three identifiers that meet now and then."""
    chosen = random.Random(seed)
    bodies = []
    for number in range(count):
        person = chosen.randrange(40)
        ids = [("user_id", f"u{person}"), ("email", f"e{person}"), ("anonymous_id", f"a{person}")]
        named = chosen.sample(ids, k=chosen.choice((1, 1, 2)))
        if number % 3:
            bodies.append(touchpoint(number, *named, traits={"tier": number}))
        else:
            bodies.append(order(number, *named, total="0.10", currency="EUR"))
    return bodies


@pytest.mark.parametrize("seed", [1, 2])
async def test_two_workers_on_one_crowd_leave_what_one_alone_would(
    worker: Worker, seed: int
) -> None:
    bodies = crowd(seed, 600)
    alone = World(worker.rules)
    alone.take(*bodies)

    await asyncio.gather(
        worker.absorb_in_batches(bodies[::2], 40),
        worker.absorb_in_batches(bodies[1::2], 25),
        worker.absorb_in_batches(bodies[::5], 30),
    )
    assert {shown_facts(person) for person in await worker.active()} == facts(alone)
    await contiguous(worker)
    counted = await worker.rows("SELECT sum(accepted), sum(duplicate) FROM touchpoint_counter")
    assert counted == [(len(bodies), 0)]


def borrowed(seed: int, count: int) -> list[dict[str, Any]]:
    """Touchpoints of people who share devices, so that vetoes fire and devices become shared."""
    chosen = random.Random(seed)
    bodies = []
    for number in range(count):
        user, device = f"u{chosen.randrange(12)}", f"d{chosen.randrange(8)}"
        named = [("user_id", user), ("device_id", device), ("email", f"{user}@x.y")]
        bodies.append(touchpoint(number, *chosen.sample(named, k=chosen.choice((1, 2, 2)))))
    return bodies


@pytest.mark.parametrize("seed", [3, 4])
async def test_two_workers_cross_no_veto_and_the_evidence_makes_the_same_again(
    worker: Worker, seed: int
) -> None:
    bodies = borrowed(seed, 500)
    await asyncio.gather(
        worker.absorb_in_batches(bodies[::2], 20),
        worker.absorb_in_batches(bodies[1::2], 15),
        worker.absorb_in_batches(bodies[::7], 10),
    )
    people = await worker.active()
    for person in people:
        assert sum(one.type == "user_id" for one in person.identifiers) <= 1
    assert sum(one.computed.touchpoints for one in people) == len(bodies)
    assert await worker.rows("SELECT count(*) FROM identifier WHERE status = 'shared'") > [(0,)]
    await contiguous(worker)
    assert (await verify_identity(worker.engine, worker.rules)).differences == []


async def test_a_storm_of_merges_into_one_person(worker: Worker) -> None:
    """Three hundred visitors who log in as one user within a batch or two."""
    count = 300
    visitors = [("anonymous_id", f"v{n}") for n in range(count)]
    await worker.absorb(*(touchpoint(n, one) for n, one in enumerate(visitors)))
    logins = [touchpoint(count + n, USER, one) for n, one in enumerate(visitors)]
    await worker.absorb_in_batches(logins, 200)
    assert len(await worker.rows("SELECT 1 FROM merge")) == 99
    people = await worker.active()
    assert sum(one.computed.touchpoints for one in people) == 2 * count
    await contiguous(worker)
