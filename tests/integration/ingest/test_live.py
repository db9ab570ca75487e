"""The live stream on real Kafka: who sees what, within two seconds, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from services.ingest.api.live import CHECK_SECONDS, HEARTBEAT_SECONDS
from services.ingest.use_cases.watch_events import MOST_LISTENERS, MOST_OF_ONE
from shared import clock
from tests.integration.ingest.conftest import Ingest, native
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish
from tests.support.processes import free_port

WITHIN_SECONDS = 2.0


@dataclass
class Stream:
    """An open stream; `lines` are those that were not read yet."""

    answer: httpx.Response
    lines: AsyncIterator[str]

    async def next(self, within: float = 15.0) -> tuple[str, dict[str, Any]]:
        """The name and the data of the next event; `heartbeat` for one of those."""
        async with asyncio.timeout(within):
            name = ""
            async for line in self.lines:
                if line.startswith(":"):
                    return "heartbeat", {}
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return name, orjson.loads(line.removeprefix("data: "))
        return "over", {}

    async def next_event(self) -> tuple[str, dict[str, Any]]:
        """As `next`, passing heartbeats over."""
        while (found := await self.next())[0] == "heartbeat":
            pass
        return found

    async def until(self, wanted: str, within: float = 15.0) -> dict[str, Any]:
        """The data of the next event of that name; heartbeats are passed over, nothing else is."""
        while True:
            name, data = await self.next(within)
            if name != "heartbeat":
                assert name == wanted, data
                return data


@asynccontextmanager
async def watching(
    url: str, authorization: str, *, ready: bool = True, **query: str
) -> AsyncIterator[Stream]:
    """A stream; everything that arrives from here on is on it."""
    headers = {"Authorization": authorization}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
        client.stream("GET", "/v1/live", params=query) as answer,
    ):
        stream = Stream(answer, answer.aiter_lines())
        if ready:
            assert answer.status_code == httpx.codes.OK
            await stream.until("ready", within=30)
        yield stream


async def token(ingest: Ingest, role: str) -> tuple[str, str]:
    """A new token's header and its id."""
    made = await ingest.admin.post("/v1/tokens", json={"name": role, "roles": [role]})
    return f"Bearer {made.json()['token']}", made.json()["id"]


def administrator(ingest: Ingest) -> str:
    return str(ingest.admin.headers["authorization"])


async def test_an_event_is_seen_within_two_seconds_through_both_doors(ingest: Ingest) -> None:
    source, key = await ingest.source("web")
    async with watching(ingest.url, administrator(ingest), source=source) as stream:
        sent_at = clock.monotonic_seconds()
        event = {
            "messageId": "l-1",
            "event": "Seen",
            "userId": "ada@example.com",
            "properties": {"note": "call +33612345678", "n": 1},
        }
        assert (await ingest.send("/v1/track", orjson.dumps(event), key)).status_code == 200
        seen = await stream.until("touchpoint")
        assert clock.monotonic_seconds() - sent_at < WITHIN_SECONDS
        shown = ("status", "id", "source", "channel", "type")
        assert [seen[name] for name in shown] == ["accepted", "l-1", source, "web", "Seen"]
        assert seen["properties"] == {"note": "call +33612345678", "n": 1}
        assert {"type": "user_id", "value": "ada@example.com"} in seen["identifiers"]

        sent_at = clock.monotonic_seconds()
        topic = ingest.topics.channel("web")
        await publish(ingest.stack.kafka, [Message(topic, native(source, "l-2"))])
        assert (await stream.until("touchpoint"))["id"] == "l-2"
        assert clock.monotonic_seconds() - sent_at < WITHIN_SECONDS


async def test_who_may_not_see_personal_data_sees_it_masked(ingest: Ingest) -> None:
    source, key = await ingest.source("web")
    viewer, _ = await token(ingest, "viewer")
    async with (
        watching(ingest.url, viewer, source=source) as person,
        watching(ingest.url, f"Bearer {await ingest.key(source, 'read')}") as shop,
    ):
        event = {
            "messageId": "l-1",
            "event": "Seen",
            "userId": "ada",
            "traits": {"email": "ada@example.com"},
            "properties": {"note": "call +33612345678", "n": 1},
        }
        assert (await ingest.send("/v1/identify", orjson.dumps(event), key)).status_code == 200
        for stream in (person, shop):
            seen = await stream.until("touchpoint")
            assert {one["value"] for one in seen["identifiers"]} == {"a***"}
            assert seen["traits"]["email"] == "a***"
            assert "ada@" not in str(seen)
            assert "33612345678" not in str(seen)


async def test_dead_letters_are_seen_with_their_reason(ingest: Ingest) -> None:
    source, key = await ingest.source("kiosk")
    async with watching(
        ingest.url, administrator(ingest), source=source, status="failed"
    ) as stream:
        good = {"messageId": "l-1", "event": "Seen", "userId": "u"}
        bad = {"messageId": "l-2", "userId": "secret-person"}
        for body in (good, bad):
            assert (await ingest.send("/v1/track", orjson.dumps(body), key)).status_code == 200
        seen = await stream.until("failed")
    assert (seen["id"], seen["source"], seen["channel"]) == ("l-2", source, "kiosk")
    assert seen["reason"] == "spec_violation"
    assert "event" in seen["message"]
    assert seen["raw"]["topic"] == ingest.topics.channel("kiosk")
    assert "secret-person" not in str(seen)


async def test_filters_and_what_a_key_may_not_see(ingest: Ingest) -> None:
    source, key = await ingest.source("app")
    neighbour, other = await ingest.source("app")
    admin = administrator(ingest)
    mine, theirs = await ingest.key(source, "read"), await ingest.key(neighbour, "read")
    async with (
        watching(ingest.url, admin, source=source, type="Bought", channel="app") as bought,
        watching(ingest.url, f"Bearer {theirs}", source=neighbour) as neighbours,
    ):
        for number, event in enumerate(("Seen", "Bought")):
            body = {"messageId": f"l-{number}", "event": event, "userId": "u"}
            for one in (key, other):
                await ingest.send("/v1/track", orjson.dumps(body), one)
        seen = await bought.until("touchpoint")
        assert (seen["type"], seen["source"]) == ("Bought", source)
        for _ in range(2):
            assert (await neighbours.until("touchpoint"))["source"] == neighbour
    refusals: list[tuple[str, dict[str, Any], int]] = [
        (f"Bearer {mine}", {"source": neighbour}, 403),
        (f"Bearer {key}", {}, 403),
        ("Bearer csk_nobody", {}, 401),
        (admin, {"status": "lost"}, 422),
        (admin, {"source": ""}, 422),
    ]
    for authorization, query, status in refusals:
        async with watching(ingest.url, authorization, ready=False, **query) as refused:
            assert refused.answer.status_code == status


async def test_a_new_channel_s_dead_letters_are_seen_too(ingest: Ingest) -> None:
    async with watching(ingest.url, administrator(ingest), channel="booth") as stream:
        answer = await ingest.admin.post(
            "/v1/sources",
            json={"id": "booths", "name": "Booths", "channel": "booth", "offline": True},
        )
        assert answer.status_code == httpx.codes.CREATED
        topic = ingest.topics.channel("booth")
        await publish(ingest.stack.kafka, [Message(topic, b'{"id":"b-1","source":"booths"}')])
        seen = await stream.until("failed", within=30)
    assert (seen["id"], seen["source"], seen["reason"]) == ("b-1", "booths", "spec_violation")


async def test_a_revoked_token_sees_no_more_and_silence_has_heartbeats(ingest: Ingest) -> None:
    viewer, token_id = await token(ingest, "viewer")
    async with watching(ingest.url, viewer, source="nobody") as stream:
        assert (await stream.next(HEARTBEAT_SECONDS + 5))[0] == "heartbeat"
        assert (await ingest.admin.delete(f"/v1/tokens/{token_id}")).status_code == 204
        ended = await stream.until("ended", within=2 * CHECK_SECONDS + 5)
        assert "may not" in ended["detail"]
        assert (await stream.next())[0] == "over"


async def test_there_are_twenty_places_and_they_become_free(ingest: Ingest) -> None:
    admin = administrator(ingest)
    people = [admin, *[(await token(ingest, "viewer"))[0] for _ in range(4)]]
    assert len(people) * MOST_OF_ONE == MOST_LISTENERS
    async with AsyncExitStack() as places:
        for who in people:
            for _ in range(MOST_OF_ONE):
                await places.enter_async_context(watching(ingest.url, who, source="nobody"))
        async with watching(ingest.url, admin, ready=False) as refused:
            assert refused.answer.status_code == 503
            assert refused.answer.headers["retry-after"] == "1"

    async def is_free() -> bool:
        async with watching(ingest.url, admin, ready=False) as stream:
            return stream.answer.status_code == httpx.codes.OK

    await eventually(is_free, within=15)


async def test_all_keys_of_a_source_together_have_four_places(ingest: Ingest) -> None:
    source, _ = await ingest.source("web")
    key = await ingest.key(source, "read")
    (first, *_) = (await ingest.admin.get(f"/v1/sources/{source}")).json()["keys"]
    await ingest.admin.delete(f"/v1/sources/{source}/keys/{first['id']}")
    other = await ingest.key(source, "read")
    async with AsyncExitStack() as places:
        for each in (key, key, other, other):
            await places.enter_async_context(watching(ingest.url, f"Bearer {each}"))
        for each in (key, other):
            async with watching(ingest.url, f"Bearer {each}", ready=False) as refused:
                assert refused.answer.status_code == httpx.codes.TOO_MANY_REQUESTS
                assert refused.answer.headers["retry-after"] == "1"
        async with watching(ingest.url, administrator(ingest)):
            pass


async def test_what_a_source_declares_as_personal_is_masked(ingest: Ingest) -> None:
    source, key = await ingest.source("web")
    settings = {
        "id": source,
        "name": source,
        "channel": "web",
        "pii": {"properties.guests.name": "name", "context.seat": "place"},
    }
    assert (await ingest.admin.put(f"/v1/sources/{source}", json=settings)).status_code == 200
    viewer, _ = await token(ingest, "viewer")
    reading = await ingest.key(source, "read")
    async with (
        watching(ingest.url, viewer, source=source) as person,
        watching(ingest.url, f"Bearer {reading}") as shop,
        watching(ingest.url, administrator(ingest), source=source) as admin,
    ):
        event = {
            "messageId": "l-1",
            "event": "Seen",
            "userId": "ada",
            "properties": {"guests": [{"name": "Bob", "age": 7}], "name": "Gala"},
            "context": {"seat": 12},
        }
        bad = {**event, "messageId": "l-2", "timestamp": "Bob"}
        for body in (event, bad):
            assert (await ingest.send("/v1/track", orjson.dumps(body), key)).status_code == 200
        for stream in (person, shop, admin):
            found = dict([await stream.next_event(), await stream.next_event()])
            seen, failed = found["touchpoint"], found["failed"]
            hidden = stream is not admin
            guest = {"name": "***" if hidden else "Bob", "age": 7}
            assert seen["properties"] == {"guests": [guest], "name": "Gala"}
            assert seen["context"]["seat"] == ("***" if hidden else 12)
            assert ("Bob" in failed["message"]) is not hidden
            assert "no RFC 3339 time" in failed["message"]


async def test_a_kafka_that_is_away_is_told_and_nothing_is_missed(ingest: Ingest) -> None:
    source, key = await ingest.source("web")
    async with watching(ingest.url, administrator(ingest), source=source) as stream:
        with ingest.stack.frozen("kafka"):
            await stream.until("interrupted", within=30)
        await stream.until("ready", within=60)
        body = orjson.dumps({"messageId": "l-1", "event": "Seen", "userId": "u"})

        async def is_taken() -> bool:
            return (await ingest.send("/v1/track", body, key)).status_code == httpx.codes.OK

        await eventually(is_taken, within=60)
        assert (await stream.until("touchpoint", within=60))["id"] == "l-1"


async def test_it_ends_cleanly_with_its_process(ingest: Ingest) -> None:
    port = str(free_port())
    alone = ingest.roles.start("ingest", "collector", extra={"CONCERT_HTTP_PORT": port})
    await alone.until_ready()

    async with watching(f"http://127.0.0.1:{port}", administrator(ingest)) as stream:
        stopped_at = clock.monotonic_seconds()
        ending = asyncio.create_task(asyncio.to_thread(alone.terminate))
        name = ""
        while name != "ended":  # events of other tests' making may come before
            name, _ = await stream.next()
        assert (await stream.next())[0] == "over"
    assert await ending == 0
    assert clock.monotonic_seconds() - stopped_at < 5
