"""Drafts rehearsed over HTTP, against updates that are recorded on a real Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.storage import simulations
from services.orchestrator.use_cases.rehearsal import rehearser as working
from services.orchestrator.use_cases.rehearsal.kept import RecordedUpdates
from services.orchestrator.use_cases.rehearsal.rehearsal import Rehearsal
from services.orchestrator.use_cases.rehearsal.rehearser import Rehearser
from services.orchestrator.use_cases.rehearsal.request import MAX_WAITING, Rehearsing
from shared import clock
from shared.access import Role
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.postgres.transaction import transaction
from tests.integration.orchestrator_api.conftest import make_app
from tests.support.api import calling
from tests.support.eventually import eventually
from tests.support.kafka import Message, end_offsets, publish
from tests.support.stack import Stack
from tests.unit.orchestrator.build import rule_json, uid
from tests.unit.orchestrator.journeys.build import document, end, mail, wait
from tests.unit.orchestrator.rehearsal.replayed import DAY, HOUR, Recording

NOW = clock.now().replace(microsecond=0)
START, END = NOW - 20 * DAY, NOW - 5 * DAY
PARTITIONS = 8
CAP = {"scope": {"category": "service"}, "limit": 2, "window": "P7D"}


def october() -> list[tuple[str, datetime]]:
    """When whose cart was updated: forty people, each in a rhythm of their own."""
    carts = (
        (f"person-{n}", START - 10 * DAY + n * HOUR + k * (n % 5 + 1) * DAY)
        for n in range(40) for k in range(24)
    )  # fmt: skip
    return sorted((one for one in carts if one[1] < NOW - DAY), key=lambda one: one[1])


def sent(limit: int, *, without: str = "") -> dict[str, int]:
    """Counted by hand: how often each was written to in the period, under a cap; up to its
    beginning the cap in force held."""
    made: dict[str, list[datetime]] = {}
    for who, at in october():
        if START - 7 * DAY <= at < END and who != without:
            mine = made.setdefault(who, [])
            most = limit if at >= START else 2
            if sum(one > at - 7 * DAY for one in mine) < most:
                mine.append(at)
    return {who: sum(at >= START for at in some) for who, some in made.items()}


@pytest.fixture(scope="module")
async def recorded(stack: Stack, module_topics: Topics) -> RecordedUpdates:
    recording = Recording()
    for number, (who, at) in enumerate(october()):
        recording.happens(at, who=who, name=f"cart-{number}")
    topic = module_topics.profile_updates
    await publish(
        stack.kafka,
        [Message(topic, one.value, one.key, timestamp_ms=one.timestamp)
         for one in recording.records],
    )  # fmt: skip
    return RecordedUpdates(
        stack.kafka, client_id="test", topics=module_topics, known=lambda: {topic: PARTITIONS}
    )


@pytest.fixture
async def client(
    engine: AsyncEngine, tokens: dict[Role, str], recorded: RecordedUpdates
) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator, once a rule and a policy are live, and a draft of the policy halves it."""
    async with transaction(engine) as tx:
        tables = "simulation, rule, rule_version, contact_policy, profile_state, journey"
        await tx.execute(text(f"TRUNCATE {tables}, contact_policy_version CASCADE"))
    rehearsing = Rehearsing(recorded.kept_since, Estimates)
    app = make_app(engine, shiftable_clock=True, rehearsing=rehearsing)
    async with calling(app, tokens[Role.ADMIN]) as admin:
        await ok(admin.put("/v1/rules/carts", json=rule_json()))
        await ok(admin.post("/v1/rules/carts:publish"))
        await ok(admin.put("/v1/contact-policies/default", json={"caps": [CAP]}))
        await ok(admin.post("/v1/contact-policies/default:publish"))
        halved = {"caps": [CAP | {"limit": 1}]}
        await ok(admin.put("/v1/contact-policies/default", json=halved))
        yield admin


async def ok(asked: Any) -> Any:
    answer = await asked
    assert answer.status_code < 300, answer.text
    return answer.json()


def period(start: datetime = START, end: datetime = END) -> dict[str, str]:
    return {"from": rfc3339(start), "to": rfc3339(end)}


async def ask(client: httpx.AsyncClient, path: str = "contact-policies/default") -> str:
    answer = await client.post(f"/v1/{path}:simulate", json=period())
    assert answer.status_code == 202, answer.text
    id_: str = answer.json()["simulation_id"]
    return id_


def rehearser(engine: AsyncEngine, recorded: RecordedUpdates, **more: Any) -> Rehearser:
    return Rehearser(engine, member=more.pop("member", "one"), recorded=recorded.open, **more)


async def done(client: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    shown: dict[str, Any] = await ok(client.get(f"/v1/simulations/{id_}"))
    return shown


async def test_a_halved_cap_is_counted_as_by_hand_and_nothing_is_sent(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates, stack: Stack,
    module_topics: Topics,
) -> None:  # fmt: skip
    id_ = await ask(client)
    waits = await done(client, id_)
    assert (waits["status"], waits["counts"], waits["progress"]["percent"]) == ("queued", None, 0.0)
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    found = await done(client, id_)
    assert found["status"] == "completed"
    assert found["progress"]["percent"] == 100.0
    assert datetime.fromisoformat(found["known_from"]) == START - 7 * DAY

    live, draft = sent(2), sent(1)
    both = {"live": sum(live.values()), "draft": sum(draft.values())}
    assert both["live"] > both["draft"] > 50
    counts = found["counts"]
    happened = sum(START <= at < END for _, at in october())
    assert counts["updates"] == happened
    assert counts["actions"] == both
    assert counts["by_rule"] == {"carts": both}
    assert counts["by_channel"] == {"email": both}
    missed = {side: happened - n for side, n in both.items()}
    assert counts["by_reason"] == {"cap": missed}
    assert {name.split(" contact")[0]: n for name, n in counts["by_cap"].items()} == {
        "at most 2": {"live": missed["live"], "draft": 0},
        "at most 1": {"live": 0, "draft": missed["draft"]},
    }
    assert {one["profile_id"] for one in found["changed"]} >= {
        uid(who) for who in live if live[who] != draft[who]
    }
    assert found["changed_total"] == len(found["changed"])
    assert found["changed"][0]["why"].startswith("was sent on email by carts, now not: cap: ")

    for channel in ("email", "push"):
        assert not sum((await end_offsets(stack.kafka, module_topics.actions(channel))).values())
    async with transaction(engine) as tx:
        for table in ("action", "decision", "contact_ledger", "timer", "outbox"):
            assert (await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_the_same_again_is_the_same_to_the_byte_however_it_is_read(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    results = []
    for fetch in (500, 500, 1, 7):
        id_ = await ask(client)
        assert await rehearser(engine, recorded, fetch=fetch).serve_one(asyncio.Event())
        async with transaction(engine) as tx:
            row = (await tx.execute(
                text("SELECT counts, changed_total, digest FROM simulation WHERE id = :id"),
                {"id": id_},
            )).one()  # fmt: skip
            changes = (await tx.execute(
                text("SELECT body FROM simulation_change WHERE simulation = :id ORDER BY place"),
                {"id": id_},
            )).scalars().all()  # fmt: skip
        results.append((tuple(row), tuple(changes)))
    assert len(set(results)) == 1


async def test_a_new_rule_acts_in_the_draft_alone(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    await ok(client.put("/v1/rules/again", json=rule_json(category="transactional")))
    id_ = await ask(client, "rules/again")
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    counts = (await done(client, id_))["counts"]
    assert counts["by_rule"]["again"] == {"live": 0, "draft": counts["updates"]}
    assert counts["by_rule"]["carts"] == dict.fromkeys(("live", "draft"), sum(sent(2).values()))


async def test_a_journey_is_walked_by_everybody_it_would_have_let_in(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    nodes = [wait("w", "hello", duration="P1D"), mail("hello"), end()]
    once = {"re_entry": {"mode": "never"}, "category": "transactional"}
    await ok(client.put("/v1/journeys/first", json=document(*nodes, **once)))
    id_ = await ask(client, "journeys/first")
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    counts = (await done(client, id_))["counts"]
    firsts: dict[str, datetime] = {}
    for who, at in october():
        if START <= at < END:
            firsts.setdefault(who, at)
    assert counts["by_node"]["first: entered"] == {"live": 0, "draft": len(firsts)}
    through = sum(at + DAY <= END for at in firsts.values())
    assert counts["by_rule"]["first/hello"] == {"live": 0, "draft": through}


async def test_what_is_no_longer_kept_is_refused_with_the_earliest_instant(
    client: httpx.AsyncClient,
) -> None:
    path = "/v1/rules/carts:simulate"
    answer = await client.post(path, json=period(NOW - 400 * DAY))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["path"], error["rule"]) == ("from", "not_kept")
    earliest = datetime.fromisoformat(error["message"].rsplit(" ", 1)[1])
    assert earliest <= clock.now() - 35 * DAY + timedelta(minutes=10)
    later = earliest + timedelta(minutes=1)
    assert (await client.post(path, json=period(later))).status_code == 202
    for wrong in (period(END, START), {"from": rfc3339(START)}, period() | {"more": 1}):
        assert (await client.post(path, json=wrong)).status_code == 422
    assert (await client.post("/v1/rules/none:simulate", json=period())).status_code == 404


async def begun(client: httpx.AsyncClient, id_: str) -> bool:
    """Whether it says how far it is."""
    shown = await done(client, id_)
    return bool(shown["status"] == "running" and shown["progress"]["done"])


async def test_a_running_one_is_cancelled_within_two_seconds(
    client: httpx.AsyncClient,
    engine: AsyncEngine,
    recorded: RecordedUpdates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(working, "AT_ONCE", 1)
    take = working._take

    def slowly(rehearsal: Rehearsal, some: Any) -> None:
        time.sleep(0.02)
        take(rehearsal, some)

    monkeypatch.setattr(working, "_take", slowly)
    id_ = await ask(client)
    work = asyncio.create_task(rehearser(engine, recorded).serve_one(asyncio.Event()))
    await eventually(lambda: begun(client, id_))
    cancelled = await ok(client.post(f"/v1/simulations/{id_}:cancel"))
    assert cancelled["status"] == "cancelled"
    assert await asyncio.wait_for(work, 2.0)
    shown = await done(client, id_)
    assert (shown["status"], shown["counts"], shown["changed"]) == ("cancelled", None, [])
    assert (await client.post(f"/v1/simulations/{id_}:cancel")).status_code == 409
    assert not await rehearser(engine, recorded).serve_one(asyncio.Event())


async def test_one_whose_process_ended_is_begun_anew_as_it_was_asked_for(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    first = await ask(client)
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    second = await ask(client)
    async with transaction(engine) as tx:
        await tx.execute(text(
            "UPDATE simulation SET status = 'running', member = 'gone', attempt = 1, done = 9,"
            " claimed_until = now() + interval '1 hour' WHERE status = 'queued'"
        ))  # fmt: skip
    await ok(client.post("/v1/contact-policies/default:publish"))
    assert not await rehearser(engine, recorded).serve_one(asyncio.Event()), "it may be alive"
    assert await rehearser(engine, recorded, member="gone").serve_one(asyncio.Event())
    one, two = await done(client, first), await done(client, second)
    assert one["digest"] == two["digest"]


async def test_what_ended_its_process_five_times_has_failed(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    id_ = await ask(client)
    async with transaction(engine) as tx:
        await tx.execute(text(
            "UPDATE simulation SET status = 'running', member = 'gone', crashes = 4,"
            " claimed_until = now() - interval '1 second'"
        ))  # fmt: skip
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    found = await done(client, id_)
    assert (found["status"], "5 times" in found["problem"]) == ("failed", True)


async def test_who_is_erased_while_a_result_is_written_is_not_in_it(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await ask(client)
    who = {"id": uid("person-1")}
    async with transaction(engine) as tx:
        await tx.execute(
            text("INSERT INTO profile_state (profile_id, last_seq) VALUES (:id, 1)"), who
        )
        claimed = await simulations.claim(tx, "one")
    assert claimed is not None
    one = claimed[0]

    async def write() -> bool:
        async with transaction(engine) as tx:
            found = simulations.Found("{}", 1, "digest", [(who["id"], "{}")])
            return await simulations.complete(tx, one, found)

    async def somebody_waits() -> bool:
        async with transaction(engine) as tx:
            asked = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            return bool((await tx.execute(asked)).scalar_one())

    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE profile_state SET erased = true WHERE profile_id = :id"), who)
        writing = asyncio.create_task(write())
        await eventually(somebody_waits)
    assert await writing
    async with transaction(engine) as tx:
        assert await simulations.changed(tx, one.id) == []


async def test_who_was_erased_is_left_out_and_leaves_the_results(
    client: httpx.AsyncClient, engine: AsyncEngine, recorded: RecordedUpdates
) -> None:
    gone = uid("person-0")
    async with transaction(engine) as tx:
        await tx.execute(
            text("INSERT INTO profile_state (profile_id, last_seq, erased) VALUES (:id, 99, true)"),
            {"id": gone},
        )
    id_ = await ask(client)
    assert await rehearser(engine, recorded).serve_one(asyncio.Event())
    found = await done(client, id_)
    assert found["counts"]["actions"]["live"] == sum(sent(2, without="person-0").values())
    assert gone not in str(found)


async def test_so_many_wait_and_all_are_listed_and_audited(client: httpx.AsyncClient) -> None:
    ids = [await ask(client) for _ in range(MAX_WAITING)]
    answer = await client.post("/v1/rules/carts:simulate", json=period())
    assert answer.status_code == 409
    page = await ok(client.get("/v1/simulations", params={"limit": 15}))
    rest = await ok(
        client.get("/v1/simulations", params={"limit": 15, "cursor": page["next_cursor"]})
    )
    assert [one["id"] for one in page["items"] + rest["items"]] == ids[::-1]
    entries = await ok(client.get("/v1/audit", params={"kind": "simulation", "key": ids[0]}))
    assert [one["action"] for one in entries["items"]] == ["request"]


async def test_a_draft_that_counts_what_nothing_counted_says_so(client: httpx.AsyncClient) -> None:
    counts = {"applicability": {"event": "Page Viewed", "count": {"gte": 2}, "within": "P7D"}}
    await ok(client.put("/v1/rules/new", json=rule_json(engagement_policy=counts)))
    shown = await done(client, await ask(client, "rules/new"))
    (warning,) = shown["warnings"]
    assert warning["rule"] == "not_counted"
    assert "Page Viewed" in warning["message"]
