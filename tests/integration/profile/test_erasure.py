"""Erasure on real rows: nothing is left of the person, everybody else is as before, nobody comes
back by what is sent late."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.list_rows import BLANK, ListRow, encode_row
from services.profile.storage.erasing import NOTHING_PERSONAL, STORES
from services.profile.storage.tables import metadata
from services.profile.use_cases import erase_people
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.merge_by_hand import merge_by_hand
from services.profile.use_cases.peers import Page
from services.profile.use_cases.read_profile import read_profile
from services.profile.use_cases.set_apart import keep_profiles_apart
from services.profile.use_cases.split_profile import split_profile
from services.profile.use_cases.undo_merge import undo_merge
from services.profile.use_cases.verify_identity import verify_identity
from services.profile.use_cases.work_privacy import WorkPrivacy
from shared.contracts.topics import Topics
from shared.errors import Gone
from shared.kafka.messages import OutboxBuffer
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from tests.integration.profile.eraser import OFFICER, Eraser, secretive
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import order, touchpoint

CANARY = "c4n4ry"
USER, MAIL, PHONE = (
    ("user_id", f"{CANARY}-u"),
    ("email", f"{CANARY}@x.org"),
    ("phone", "+3361234c4n4ry"),
)
TABLET, BROWSER = ("device_id", "tablet"), ("anonymous_id", f"{CANARY}-b")
BO, BO_MAIL, CY = ("user_id", "bo"), ("email", "bo@x.org"), ("user_id", "cy")
OTHER_ROW = encode_row(ListRow("add", "email", "x@y.z"))
LATER = "2099-01-01T00:00:00.000Z"

HER_LIFE = [
    touchpoint(1, BROWSER, traits={"first_name": CANARY}, context={"ip": CANARY}),
    touchpoint(2, BO, BO_MAIL, traits={"first_name": "Bo"}),
    order(3, USER, MAIL, total="12.50", currency="EUR", note=CANARY),
    touchpoint(4, BROWSER, USER),
    touchpoint(5, USER, PHONE, TABLET, message_id=f"{CANARY}-5"),
    touchpoint(
        6, BO, TABLET, MAIL
    ),  # veto: the mail and the tablet stay hers, the tablet is shared
    touchpoint(7, TABLET),
    touchpoint(8, CY, TABLET),
    order(9, BO, total="3.00", currency="EUR"),
    touchpoint(10, ("email", "nobody-yet@x.org"), BO, CY),
]


@pytest.fixture
def worker(engine: AsyncEngine) -> Worker:
    return secretive(engine)


@pytest.fixture
def eraser(engine: AsyncEngine, worker: Worker) -> Eraser:
    return Eraser(engine, worker)


async def id_of(worker: Worker, identifier: tuple[str, str]) -> str:
    ((found,),) = await worker.rows(
        "SELECT profile_id::text FROM identifier "
        f"WHERE type = '{identifier[0]}' AND value = '{identifier[1]}'"
    )
    return str(found)


async def hits(engine: AsyncEngine, needle: str = CANARY) -> dict[str, int]:
    """In how many rows of each table the needle is, whatever the type of the column."""
    found = {}
    async with engine.connect() as connection:
        for table in metadata.tables.values():
            count = 0
            rows = await connection.execute(text(f"SELECT * FROM {table.name}"))
            for row in rows:
                values = [_bytes(value) for value in row]
                if table.name == "outbox":
                    values.append(outbox.unpacked(row.frame))
                count += any(needle.encode() in value for value in values)
            if count:
                found[table.name] = count
    return found


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


async def beside(engine: AsyncEngine, her: str) -> None:
    """What stands about her beside her profile: consents, a household, a list, a file of one."""
    for statement in (
        "INSERT INTO consent_change (id, profile_id, purpose, channel, what, status, at, proof)"
        " VALUES (gen_random_uuid(), CAST(:her AS uuid), 'ads', 'email', 'granted', 'granted',"
        " now(), CAST(:proof AS jsonb))",
        "INSERT INTO group_member VALUES (gen_random_uuid(), CAST(:her AS uuid))",
        "INSERT INTO list_member VALUES ('vip', CAST(:her AS uuid))",
        "INSERT INTO list_upload (id, list, rows, of, uploaded_by, uploaded_by_name)"
        " VALUES (gen_random_uuid(), 'vip', ARRAY[:other, :row], 2, 'a', 'a')",
        "INSERT INTO export (id, condition, fields, format, who, who_name) VALUES"
        " (gen_random_uuid(), CAST(:condition AS jsonb), ARRAY['id'], 'ndjson', 'a', 'a')",
    ):
        values = {
            "her": her,
            "proof": json.dumps({"note": CANARY}),
            "other": OTHER_ROW,
            "row": encode_row(ListRow("add", "email", f" {MAIL[1].title()}")),
            "condition": json.dumps({"attr": "profile.email", "op": "eq", "value": MAIL[1]}),
        }
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        async with transaction(engine) as tx:
            await tx.execute(text(statement), used)


async def verified(engine: AsyncEngine) -> list[str]:
    return (await verify_identity(engine, Rules())).differences


def others(profiles: list[Any], gone: str) -> list[Any]:
    return [one for one in profiles if one.id != gone]


def test_every_table_is_known_to_hold_people_or_not() -> None:
    assert STORES.keys() | NOTHING_PERSONAL.keys() == metadata.tables.keys()
    assert not STORES.keys() & NOTHING_PERSONAL.keys()


@pytest.mark.parametrize("size", [1, 100])
async def test_nothing_is_left_and_everybody_else_is_as_before(
    engine: AsyncEngine,
    worker: Worker,
    eraser: Eraser,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erase_people, "PROFILES", size)
    await worker.absorb_in_batches(HER_LIFE, size)
    her = await id_of(worker, USER)
    await beside(engine, her)
    before = await worker.active()
    assert await verified(engine) == []
    done = await eraser.erase(her)
    assert done.status == "completed", done
    assert await hits(engine) == {}
    assert others(before, her) == await worker.active()
    assert await verified(engine) == []
    receipt = done.receipt or {}
    assert receipt["stores"]["identifier"] >= 4
    for store in ("consent_change", "group_member", "list_member", "list_upload"):
        assert receipt["stores"][store] == 1, store
    assert await worker.rows("SELECT count(*) FROM group_news") == [(1,)]
    assert await worker.rows("SELECT rows FROM list_upload") == [([OTHER_ROW, BLANK],)]
    assert receipt["services"] == {"orchestrator": {"decision": 4}, "ingest": {"failed_event": 1}}
    assert {one["topic"] for one in receipt["topics"]} == {"channel.web", "profile.updates"}
    assert CANARY in str(eraser.others.asked)
    async with transaction(engine) as tx:
        with pytest.raises(Gone):
            await read_profile(tx, her)


async def test_everybody_is_told_by_an_empty_update(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    her = await id_of(worker, USER)
    await eraser.erase(her)
    mine = [one for one in await worker.updates() if one["profile_id"] == her]
    assert [one["seq"] for one in mine] == list(range(1, len(mine) + 1))
    assert {one["cause"]["kind"] for one in mine} == {"erased"}
    assert mine[-1]["profile"]["identifiers"] == []
    assert mine[-1]["profile"]["traits"] == {}


async def test_late_copies_are_suppressed_and_a_new_visit_makes_a_new_customer(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    her = await id_of(worker, USER)
    await eraser.erase(her)
    people = await worker.active()
    await worker.absorb(*HER_LIFE)
    late = touchpoint(20, MAIL, BO, traits={"first_name": CANARY}, message_id="other")
    await worker.absorb(late, touchpoint(21, BROWSER), touchpoint(22, ("profile_id", her)))
    assert await worker.active() == people
    assert await hits(engine) == {}
    suppressed = await worker.rows("SELECT id::text FROM touchpoint WHERE reason = 'suppressed'")
    assert len(suppressed) == 3
    assert await verified(engine) == []
    new = {"occurred_at": LATER, "received_at": LATER}
    await worker.absorb(touchpoint(30, MAIL, **new), touchpoint(31, MAIL, BROWSER))
    again = await id_of(worker, MAIL)
    assert again != her
    assert await verified(engine) == []
    (profile,) = [one for one in await worker.active() if one.id == again]
    assert profile.computed.touchpoints == 1
    await eraser.erase(again)
    assert await hits(engine) == {}
    assert await verified(engine) == []


async def test_who_asked_for_nothing_to_be_kept_never_comes_back(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    await eraser.erase(await id_of(worker, USER), suppress=True)
    people = await worker.active()
    new = {"occurred_at": LATER, "received_at": LATER}
    await worker.absorb(
        touchpoint(30, MAIL, **new), touchpoint(31, BO, **new), touchpoint(32, MAIL, BO, **new)
    )
    assert await hits(engine) == {}
    assert len(await worker.active()) == len(people)


async def test_corrections_of_identity_survive_the_erasure_of_one_side(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    her, bo = await id_of(worker, USER), await id_of(worker, BO)
    mail = touchpoint(40, ("email", "card@x.org"), traits={"city": "Lyon"})
    await worker.absorb(mail, touchpoint(41, ("loyalty_id", "L9")))
    means: dict[str, Any] = {
        "why": "an officer said so",
        "who": OFFICER,
        "rules": worker.rules,
        "topics": Topics(),
        "counts": worker.counts,
    }
    live = {"may_replace": lambda _: None, "live": LiveDefinitions(), **means}
    card, loyal = (
        await id_of(worker, ("email", "card@x.org")),
        await id_of(worker, ("loyalty_id", "L9")),
    )
    async with transaction(engine) as tx:
        merged = await merge_by_hand(tx, [her, card], **live)
    await worker.absorb(touchpoint(42, ("email", "card@x.org"), USER))
    async with transaction(engine) as tx:
        await undo_merge(tx, merged.merge_id, **live)
    async with transaction(engine) as tx:
        await keep_profiles_apart(tx, [bo, her], **means)
    async with transaction(engine) as tx:
        await merge_by_hand(tx, [her, loyal], **live)
    async with transaction(engine) as tx:
        await split_profile(tx, her, ["loyalty_id\0L9"], dry_run=False, **live)
    assert await verified(engine) == []
    before = await worker.active()
    await eraser.erase(her)
    assert await hits(engine) == {}
    assert others(before, her) == await worker.active()
    assert await verified(engine) == []


async def test_a_household_and_conditions_of_others_keep_their_meaning(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    home = ("household_id", "H1")
    await worker.absorb(touchpoint(1, USER, MAIL, home), touchpoint(2, BO, home))
    await worker.absorb({**touchpoint(3, type="News"), "audience": _not_mail(MAIL[1])})
    id_ = await eraser.ask("erasure", await id_of(worker, USER))
    await eraser.run()
    waiting = await eraser.read(id_)
    assert (waiting.status, waiting.phase) == ("running", "decided")
    ((condition,),) = await worker.rows("SELECT condition FROM audience_job")
    assert MAIL[1].encode() in condition
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE audience_job SET status = 'done', finished_at = now()"))
        await tx.execute(text("UPDATE privacy_request SET retry_at = NULL"))
    await eraser.run()
    assert (await eraser.read(id_)).status == "completed"
    assert await hits(engine) == {}
    bodies = [body for (body,) in await worker.rows("SELECT body FROM touchpoint")]
    assert [json.loads(body)["identifiers"][1]["value"] for body in bodies if b"bo" in body] == [
        "H1"
    ]


async def test_a_household_of_nobody_forgets_its_traits(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    alone, together = ("household_id", "H1"), ("household_id", "H2")
    await worker.absorb(
        touchpoint(1, USER, alone), touchpoint(2, BO, together), touchpoint(3, CY, together)
    )
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE linked_group SET traits = 'said'"))
    await eraser.erase(await id_of(worker, USER))
    await eraser.erase(await id_of(worker, CY))
    found = await worker.rows("SELECT value, traits FROM linked_group ORDER BY value")
    assert found == [("H1", None), ("H2", b"said")]


def _not_mail(value: str) -> dict[str, Any]:
    return {"not": {"attribute": "profile.email", "op": "eq", "value": value}}


async def test_what_somebody_else_said_by_now_stays_proven(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    her = await id_of(worker, USER)
    for of, anchor in (
        ("bo", "(SELECT id FROM identifier WHERE value = 'bo@x.org')"),
        ("hers", f"(SELECT id FROM identifier WHERE value = '{MAIL[1]}')"),
        ("shared", "(SELECT id FROM identifier WHERE type = 'device_id')"),
    ):
        async with transaction(engine) as tx:
            await tx.execute(
                text(
                    "INSERT INTO consent_change"
                    " (id, profile_id, anchor, purpose, channel, what, status, at, proof) VALUES"
                    f" (gen_random_uuid(), CAST(:her AS uuid), {anchor}, :of, 'email', 'granted',"
                    " 'granted', now(), '{}')"
                ),
                {"her": her, "of": of},
            )
    await eraser.erase(her)
    assert await worker.rows("SELECT purpose FROM consent_change") == [("bo",)]


async def test_an_erasure_goes_on_wherever_a_sweeper_died(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    eraser.others.away = True
    id_ = await eraser.ask("erasure", await id_of(worker, USER))
    await eraser.run(afresh=True)
    waiting = await eraser.read(id_)
    assert (waiting.status, waiting.phase) == ("running", "orchestrator")
    assert waiting.problem == "orchestrator: ConnectError"
    eraser.others.away = False
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE privacy_request SET retry_at = NULL"))
    await eraser.run(afresh=True)
    assert (await eraser.read(id_)).status == "completed"
    assert await hits(engine) == {}


async def test_a_request_that_cannot_go_on_holds_nobody_else_up(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    eraser.work = WorkPrivacy(engine, replace(eraser.means, secret=None))
    stuck = await eraser.ask("erasure", await id_of(worker, USER))
    other = await eraser.ask("access", await id_of(worker, BO))
    await eraser.run()
    assert (await eraser.read(other)).status == "completed"
    found = await eraser.read(stuck)
    assert (found.status, found.phase) == ("pending", "begin")
    assert (found.problem or "").startswith("suppression: ")


async def test_a_document_holds_no_transaction_while_others_are_asked(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    id_ = await eraser.ask("access", await id_of(worker, BO))
    open_: list[int] = []
    ask = eraser.others.decisions

    async def decisions(profile_id: str, cursor: str | None) -> Page:
        ((count,),) = await worker.rows(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            " AND datname = current_database()"
        )
        open_.append(count)
        return await ask(profile_id, cursor)

    eraser.others.decisions = decisions  # type: ignore[method-assign]
    await eraser.run()
    assert open_ == [0, 0]
    assert (await eraser.read(id_)).status == "completed"


async def test_a_worker_that_folds_at_the_same_instant_waits_and_then_suppresses(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    her = await id_of(worker, USER)
    await eraser.ask("erasure", her)
    async with transaction(engine) as tx:
        await tx.execute(
            text("SELECT FROM profile WHERE id = CAST(:id AS uuid) FOR UPDATE"), {"id": her}
        )
        erasing = asyncio.create_task(eraser.run())
        await asyncio.sleep(0.3)
        folding = asyncio.create_task(worker.absorb(touchpoint(50, MAIL, traits={"x": CANARY})))
        await asyncio.sleep(0.3)
    await asyncio.gather(erasing, folding)
    assert await hits(engine) == {}
    assert await verified(engine) == []


async def test_dead_letters_that_wait_are_dropped(
    engine: AsyncEngine, worker: Worker, eraser: Eraser
) -> None:
    await worker.absorb(*HER_LIFE)
    topic = Topics().dead_letters(Topics().touchpoints)
    worker.counts.update({topic: 2})
    buffer = OutboxBuffer(worker.counts)
    buffer.add_dead_letter(topic, 0, None, msgspec.json.encode(HER_LIFE[2]), ())
    buffer.add_dead_letter(topic, 0, None, msgspec.json.encode(HER_LIFE[1]), ())
    async with transaction(engine) as tx:
        await outbox.append(tx, buffer)
    await eraser.erase(await id_of(worker, USER))
    frames = await worker.rows(f"SELECT messages FROM outbox WHERE topic = '{topic}'")
    assert frames == [(1,)]
