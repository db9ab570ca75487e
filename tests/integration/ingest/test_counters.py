"""Live counters: each record counts once, with the position that moves past it."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.storage.counters import Published, advance_and_count, published
from services.ingest.storage.tables import SCHEMA
from services.ingest.use_cases.count_published import advance_and_count as count_and_advance
from services.ingest.use_cases.register_source import register_source
from shared.contracts.dead_letter import Failure
from shared.contracts.topics import Topics
from shared.errors import Fenced
from shared.kafka.messages import PartitionCounts
from shared.kafka.publisher import Publisher
from shared.kafka.records import Place, Record, Span
from shared.postgres import leases
from shared.postgres.audit import Who
from shared.postgres.engine import create_engine
from shared.postgres.leases import Passed
from shared.postgres.transaction import autocommit, statement, transaction
from shared.runtime.commit import DeadLetters, ProduceThenCommit
from shared.runtime.records import Handled
from tests.integration.ingest.conftest import OPEN, Ingest, native
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack

WHO = Who("t", "tester")
TILLS = Source(id="tills", name="Tills", channel="pos")


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Ingest's way to the database, with one source in it."""
    made = create_engine(database.ingest, schema=SCHEMA, application="test")
    await register_source(made, TILLS, WHO)
    yield made
    await made.dispose()


async def count(engine: AsyncEngine, source: str = "tills") -> Published:
    async with transaction(engine) as tx:
        return await published(tx, source)


async def test_what_a_source_published_over_both_doors(ingest: Ingest) -> None:
    source, key = await ingest.source("clienteling")
    topic, other = ingest.topics.channel("clienteling"), ingest.topics.channel("pos")
    batch = b'{"batch":[{"type":"track","event":"Seen","userId":"u"},{"type":"track"},7]}'
    assert (await ingest.send("/v1/batch", batch, key)).status_code == 200
    await publish(
        ingest.stack.kafka,
        [
            Message(topic, native(source, "c-1"), b"k"),
            Message(topic, native(source, "c-1"), b"k"),
            Message(topic, native(source, "c-2", properties=[]), b"k"),
            Message(topic, native("stranger", "c-3"), b"k"),
            Message(topic, b"no json", b"k"),
            Message(other, native(source, "c-4"), b"k"),
        ],
    )

    async def shown() -> dict[str, object]:
        answer = await ingest.admin.get(f"/v1/sources/{source}")
        counters: dict[str, object] = answer.json()["counters"]
        return counters

    counters = await eventually(shown, until=lambda seen: seen["received"] == 7, within=30)
    assert counters["failed"] == 4, "two of the batch, c-2, and c-4 on another channel's topic"
    assert (counters["accepted"], counters["duplicate"], counters["in_flight"]) == (None,) * 3
    assert "profile service could not be asked" in str(counters["detail"])
    quiet, _ = await ingest.source("clienteling")
    fresh = (await ingest.admin.get(f"/v1/sources/{quiet}")).json()["counters"]
    assert (fresh["received"], fresh["failed"]) == (0, 0)


async def test_every_item_of_a_webhook_counts(ingest: Ingest) -> None:
    mapping = {"each": "rows", "type": {"const": "Row"}, "id": "no"}
    body = {"id": "rows", "name": "rows", "channel": "sms", "dialect": "webhook"}
    made = await ingest.admin.post("/v1/sources", json={**body, "mapping": mapping})
    assert made.status_code == 201, made.text
    key = (await ingest.admin.post("/v1/sources/rows/keys")).json()["key"]
    good = [{"no": n} for n in (1, 2, 3, 4, 5, 5)]
    sent = orjson.dumps({"rows": [*good, {"no": []}, {}, {"no": " "}]})
    assert (await ingest.send("/v1/webhooks/rows", sent, key)).status_code == 200

    async def shown() -> tuple[int, int]:
        counters = (await ingest.admin.get("/v1/sources/rows")).json()["counters"]
        return counters["received"], counters["failed"]

    assert await eventually(shown, until=lambda seen: seen[0] > 0, within=30) == (8, 3)
    await ingest.touchpoints("rows", 5)


async def test_a_segment_call_that_names_nobody_is_of_the_channels_source(ingest: Ingest) -> None:
    made = {"id": "kiosk", "name": "Kiosk", "channel": "kiosk"}
    assert (await ingest.admin.post("/v1/sources", json=made)).status_code == 201
    topic = ingest.topics.channel("kiosk")
    call = {"type": "track", "userId": "u", "messageId": "k-1"}
    await publish(
        ingest.stack.kafka,
        [
            Message(topic, orjson.dumps({**call, "event": "Seen"}), b"k"),
            Message(topic, orjson.dumps(call), b"k"),
        ],
    )

    async def shown() -> tuple[int, int]:
        counters = (await ingest.admin.get("/v1/sources/kiosk")).json()["counters"]
        return counters["received"], counters["failed"]

    await eventually(shown, until=lambda seen: seen == (2, 1), within=30)


async def test_a_span_that_did_not_move_is_not_counted(engine: AsyncEngine) -> None:
    ours, lost = Place("channel.pos", 0), Place("channel.pos", 1)
    async with transaction(engine) as tx:
        await leases.ensure(tx, "g", {ours: 10, lost: 20})
        held = await leases.claim(tx, "g", "me", [ours, lost])
        await leases.claim(tx, "g", "me", [lost])
    epochs = {place: position.epoch for place, position in held.items()}
    passed = [
        Passed(ours, 10, 13, applied=2, deduped=0, dead=1, gaps=0),
        Passed(lost, 20, 25, applied=4, deduped=0, dead=1, gaps=0),
    ]
    accepted = {(ours, "tills"): 2, (lost, "tills"): 4, (ours, "stranger"): 1}
    failed = {(ours, "tills"): 1, (lost, "tills"): 1}
    for _ in range(2):
        async with statement(autocommit(engine)) as tx:
            moved = await advance_and_count(
                tx, "g", passed, epochs, accepted=accepted, failed=failed
            )
        assert await count(engine) == Published(received=3, failed=1), "and not once more"
        assert await count(engine, "stranger") == Published(0, 0)
    assert moved == set()


async def test_records_of_several_places_and_batches_add_up(engine: AsyncEngine) -> None:
    places = [Place("channel.pos", 0), Place("channel.pos", 1)]
    async with transaction(engine) as tx:
        await leases.ensure(tx, "g", dict.fromkeys(places, 0))
        held = await leases.claim(tx, "g", "me", places)
    epochs = {place: position.epoch for place, position in held.items()}
    for start in (0, 2):
        passed = [Passed(one, start, start + 2, 1, 0, 1, 0) for one in places]
        counts = {(place, "tills"): 1 for place in places}
        async with statement(autocommit(engine)) as tx:
            moved = await advance_and_count(tx, "g", passed, epochs, accepted=counts, failed=counts)
        assert moved == set(places)
    assert await count(engine) == Published(received=8, failed=4)


@pytest.mark.parametrize("point", ["ingest.read", "runtime.produced", "runtime.after_commit"])
async def test_a_killed_worker_counts_each_record_once(
    point: str, stack: Stack, topics: Topics, roles: RoleProcesses, engine: AsyncEngine
) -> None:
    first = roles.start("ingest", "worker", extra=OPEN | {"CONCERT_CRASH": f"{point}:1"})
    topic = topics.channel("pos")
    good = [Message(topic, native("tills", f"n-{n}")) for n in range(40)]
    bad = [Message(topic, native("tills", f"b-{n}", properties=[])) for n in range(10)]
    await publish(stack.kafka, [*good, *bad])
    await eventually(lambda: first.exit_code() is not None, within=60)
    roles.start("ingest", "worker", extra=OPEN)
    await eventually(lambda: count(engine), until=lambda seen: seen == Published(50, 10), within=60)
    await publish(stack.kafka, [Message(topic, native("tills", "last"))])
    await eventually(lambda: count(engine), until=lambda seen: seen == Published(51, 10), within=60)


async def test_a_record_that_no_handler_can_take_counts_as_failed(
    stack: Stack, topics: Topics, engine: AsyncEngine
) -> None:
    """The loop buries it without the handler; a fenced owner's burial counts for nothing."""
    place = Place(topics.channel("pos"), 0)
    async with transaction(engine) as tx:
        await leases.ensure(tx, "g", {place: 0})
        held = await leases.claim(tx, "g", "me", [place])
    counts = PartitionCounts({topics.dead_letters(place.topic): 1})
    publisher = Publisher(stack.kafka, client_id="test")

    async def never(records: Sequence[Record]) -> Handled:
        raise AssertionError(f"{len(records)} were handed on")

    commit = ProduceThenCommit(
        engine,
        group="g",
        handler=never,
        dead_letters=DeadLetters(group="g", topics=topics, counts=counts),
        publisher=publisher,
        advance=partial(count_and_advance, topics),
    )
    record = Record(*place, 0, 1_763_712_000_123, b"k", native("tills", "odd"), ())
    span = Span(place, 0, 1, [record])
    poison = Failure("unknown_error", "a bug")
    try:
        with pytest.raises(Fenced):
            await commit([span], {place: held[place].epoch - 1}, poison, 3)
        assert await count(engine) == Published(0, 0)
        await commit([span], {place: held[place].epoch}, poison, 3)
    finally:
        await publisher.close()
    assert await count(engine) == Published(received=1, failed=1)
