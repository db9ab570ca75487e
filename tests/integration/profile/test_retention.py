"""What was kept long enough goes, and nothing else changes: sums, traits, who is who."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.retention import touchpoint_retention
from services.profile.storage import privacy_exports
from services.profile.storage.touchpoints import Only
from services.profile.use_cases.read_profile import read_profile, read_timeline
from services.profile.use_cases.retain import Kept, Retain
from services.profile.use_cases.verify_identity import verify_identity
from shared.postgres.transaction import transaction
from tests.integration.profile.eraser import Eraser, secretive
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import order, touchpoint

OLD = "2020-01-01T00:00:00.000Z"
NEW = "2099-01-01T00:00:00.000Z"
MAIL, TABLET, BROWSER = ("email", "a@x.org"), ("device_id", "t"), ("anonymous_id", "b")


def at(when: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "received_at": when, "occurred_at": when}


LIFE = [
    at(OLD, touchpoint(1, MAIL, traits={"city": "Lyon"}, context={"ip": "secret"})),
    at(OLD, order(2, MAIL, total="12.50", currency="EUR", note="secret")),
    at(OLD, touchpoint(3, MAIL, type="Kept For Ever", properties={"note": "stays"})),
    at(NEW, touchpoint(4, MAIL, properties={"note": "young"})),
    at(OLD, touchpoint(5, TABLET)),
    at(OLD, touchpoint(6, BROWSER)),
    at(NEW, touchpoint(7, BROWSER)),
]


@pytest.fixture
def worker(engine: AsyncEngine) -> Worker:
    return secretive(engine)


def retain(engine: AsyncEngine, touchpoints: str, anonymous: timedelta | None = None) -> Retain:
    return Retain(engine, Kept(touchpoint_retention(touchpoints), anonymous, 30), Rules)


async def test_touchpoints_thin_out_by_type_and_no_sum_changes(
    engine: AsyncEngine, worker: Worker
) -> None:
    await worker.absorb(*LIFE)
    before = await worker.active()
    await retain(engine, "Kept For Ever=20000,*=30").once(asyncio.Event())
    assert await worker.active() == before
    bodies = await worker.rows("SELECT body, reason FROM touchpoint")
    assert b"secret" not in b"".join(body for body, _ in bodies)
    assert sorted(str(reason) for _, reason in bodies) == ["None"] * 3 + ["expired"] * 4
    person = next(one for one in before if one.computed.orders)
    async with transaction(engine) as tx:
        stored = await read_profile(tx, person.id)
        whole = await read_timeline(tx, stored, limit=10)
        some = await read_timeline(tx, stored, limit=10, only=Only(without=["consent"]))
    for shown in (whole, some):
        notes = [msgspec.json.decode(one.body)["properties"].get("note") for one in shown]
        assert notes == ["young", "stays"]
    assert (await verify_identity(engine, Rules())).differences == []


async def test_an_expired_touchpoint_that_comes_again_is_a_duplicate(
    engine: AsyncEngine, worker: Worker
) -> None:
    await worker.absorb(*LIFE)
    await retain(engine, "*=30").once(asyncio.Event())
    before = await worker.active()
    await worker.absorb(*LIFE)
    assert await worker.active() == before


async def test_nothing_goes_unless_somebody_said_so(engine: AsyncEngine, worker: Worker) -> None:
    await worker.absorb(*LIFE)
    before = await worker.rows("SELECT id, body, reason FROM touchpoint ORDER BY id")
    await retain(engine, "").once(asyncio.Event())
    assert await worker.rows("SELECT id, body, reason FROM touchpoint ORDER BY id") == before
    assert await worker.rows("SELECT * FROM privacy_request") == []


async def test_profiles_of_devices_alone_are_erased_when_nothing_is_heard_of_them(
    engine: AsyncEngine, worker: Worker
) -> None:
    await worker.absorb(*LIFE)
    task = retain(engine, "", timedelta(days=30))
    await task.once(asyncio.Event())
    await task.once(asyncio.Event())
    assert await worker.rows("SELECT count(*) FROM privacy_request") == [(1,)]
    await Eraser(engine, worker).run()
    left = {one.identifiers[0].type for one in await worker.active()}
    assert left == {"email", "anonymous_id"}
    told = [one for one in await worker.updates() if one["cause"].get("kind") == "erased"]
    assert len({one["profile_id"] for one in told}) == 1
    assert (await verify_identity(engine, Rules())).differences == []


async def test_who_became_known_or_was_seen_since_is_not_erased(
    engine: AsyncEngine, worker: Worker
) -> None:
    phone, laptop = ("device_id", "p"), ("device_id", "l")
    await worker.absorb(
        *LIFE, *(at(OLD, touchpoint(n, one)) for n, one in ((8, phone), (9, laptop)))
    )
    await retain(engine, "", timedelta(days=30)).once(asyncio.Event())
    await worker.absorb(
        at(OLD, touchpoint(10, TABLET, ("email", "new@x.org"))), at(NEW, touchpoint(11, phone))
    )
    before = await worker.active()
    await Eraser(engine, worker).run()
    left = {one.value for person in await worker.active() for one in person.identifiers}
    assert left == {one.value for person in before for one in person.identifiers} - {"l"}
    assert await worker.rows("SELECT status FROM privacy_request") == [("completed",)]


async def test_one_of_a_batch_who_asks_for_herself_is_suppressed_alone(
    engine: AsyncEngine, worker: Worker
) -> None:
    await worker.absorb(*LIFE)
    await retain(engine, "", timedelta(days=30)).once(asyncio.Event())
    ((batch, profiles),) = await worker.rows(
        "SELECT id::text, profiles::text[] FROM privacy_request"
    )
    hers = await Eraser(engine, worker).ask("erasure", profiles[0], suppress=True)
    assert hers != batch
    found = await worker.rows("SELECT id::text, suppress FROM privacy_request")
    assert dict(found) == {batch: False, hers: True}


async def test_documents_and_receipts_go_when_their_time_is_over(
    engine: AsyncEngine, worker: Worker
) -> None:
    await worker.absorb(*LIFE)
    eraser = Eraser(engine, worker)
    (person,) = [one for one in await worker.active() if one.computed.orders]
    id_ = await eraser.ask("access", person.id)
    await eraser.run()
    task = retain(engine, "")
    await task.once(asyncio.Event())
    async with transaction(engine) as tx:
        assert await privacy_exports.read(tx, id_, 0) is not None
        await tx.execute(text("UPDATE privacy_request SET expires_at = clock_timestamp()"))
        assert await privacy_exports.read(tx, id_, 0) is None
    await task.once(asyncio.Event())
    assert await worker.rows("SELECT * FROM privacy_export") == []
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE privacy_request SET finished_at = '2020-01-01'"))
    await task.once(asyncio.Event())
    assert await worker.rows("SELECT * FROM privacy_request") == []
