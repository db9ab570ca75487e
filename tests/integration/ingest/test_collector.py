"""The collector on real Kafka, with a real client and with what clients get wrong."""

import asyncio
import gzip
from typing import Any

import httpx
import orjson
from segment.analytics.client import Client

from shared.ids import touchpoint_id
from tests.integration.ingest.conftest import Ingest, native, reason
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish, read_all
from tests.support.processes import free_port

TRACK: dict[str, Any] = {
    "type": "track",
    "event": "Seen",
    "userId": "u1",
    "messageId": "m-1",
    "properties": {"a": 1},
}


async def test_a_real_segment_client(ingest: Ingest) -> None:
    source, key = await ingest.source("web")
    refused: list[Exception] = []

    def use(packed: bool) -> None:
        client = Client(
            key,
            host=ingest.url,
            gzip=packed,
            on_error=lambda error, _: refused.append(error),
            max_retries=2,
        )
        name = "packed" if packed else "plain"
        client.identify(f"{name}-user", {"email": f"{name}@Example.com", "firstName": "Ada"})
        for number in range(50):
            client.track(f"{name}-user", "Seen", {"n": number, "ratio": 0.5})
        client.track(f"{name}-user", "Broken", {"n": float("nan")})
        client.alias("anon-1", f"{name}-user")
        client.page(f"{name}-user", "Shop", "Home")
        client.screen(f"{name}-user", "App", "Start")
        client.group(f"{name}-user", "acme", {"name": "Acme"})
        client.flush()
        client.join()

    for packed in (False, True):
        await asyncio.to_thread(use, packed)
    assert refused == []
    found = await ingest.touchpoints(source, 2 * 55)
    assert {one.kind for one in found} == {"track", "identify", "page", "screen", "group", "alias"}
    (identified,) = [one for one in found if one.traits.get("email") == "packed@Example.com"]
    values = [(one.type, one.value) for one in identified.identifiers]
    assert values == [("user_id", "packed-user"), ("email", "packed@example.com")]
    assert identified.traits["first_name"] == "Ada"
    assert "sent_at" in identified.context["concert"]
    letters = await ingest.dead_letters("web", 2)
    assert {reason(letter) for letter in letters} == {"malformed_payload"}
    assert all(b"NaN" in letter.value for letter in letters)


async def test_the_same_event_through_both_doors_is_one(ingest: Ingest) -> None:
    source, key = await ingest.source()
    for _ in range(2):
        answer = await ingest.send("/v1/track", orjson.dumps(TRACK), key)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 1})
    await publish(
        ingest.stack.kafka, [Message(ingest.topics.channel("web"), native(source, "m-1"))]
    )
    found = await ingest.touchpoints(source, 3)
    assert {one.id for one in found} == {str(touchpoint_id(source, "m-1"))}
    assert len({one.raw for one in found}) == 3


async def test_one_bad_event_never_costs_its_batch(ingest: Ingest) -> None:
    source, key = await ingest.source("app")
    bad = [
        b'{"type":"track","event":"x","userId":"u","n":NaN}',
        b'{"type":"track","event":"x","userId":"u","n":"\\u0000"}',
        b'{"type":"track","event":"x","userId":"u","n":1e400}',
        b'{"type":"track","event":"x","userId":"u","userId":"v"}',
        b'{"type":"track","userId":"u"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"type":"track","event":"x","userId":"u","t":"' + b"x" * 300_000 + b'"}',
        b"7",
    ]
    good = [orjson.dumps({**TRACK, "messageId": f"g-{n}"}) for n in range(len(bad))]
    body = b",".join(event for both in zip(bad, good, strict=True) for event in both)
    body = b'{"batch":[' + body + b'],"writeKey":"' + key.encode() + b'"}'
    answer = await ingest.send("/v1/batch", body, None)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "accepted": 16})
    found = await ingest.touchpoints(source, len(good))
    assert {one.message_id for one in found} == {f"g-{n}" for n in range(len(good))}
    letters = await ingest.dead_letters("app", len(bad))
    assert {letter.value for letter in letters} == set(bad)
    raw = await read_all(ingest.stack.kafka, ingest.topics.channel("app"))
    assert not any(key.encode() in record.value for record in raw)


async def test_one_person_s_events_stay_in_order(ingest: Ingest) -> None:
    _, key = await ingest.source("email")
    batch = [{**TRACK, "userId": f"u{n % 5}", "messageId": str(n)} for n in range(100)]
    await ingest.send("/v1/batch", orjson.dumps({"batch": batch}), key)
    raw = await read_all(ingest.stack.kafka, ingest.topics.channel("email"))
    for person in range(5):
        mine = [r for r in raw if r.key == b"user_id:u%d" % person]
        assert len({r.partition for r in mine}) == 1
        order = [int(orjson.loads(r.value)["messageId"]) for r in mine]
        assert order == list(range(person, 100, 5))


async def test_packed_bodies_under_any_content_type(ingest: Ingest) -> None:
    source, key = await ingest.source()
    body = gzip.compress(orjson.dumps({"batch": [TRACK]}))
    headers = {"content-encoding": "gzip", "content-type": "application/x-www-form-urlencoded"}
    assert (await ingest.send("/v1/batch", body, key, **headers)).status_code == 200
    bearer = {"authorization": f"Bearer {key}", "content-type": "text/plain"}
    assert (await ingest.send("/v1/track", orjson.dumps(TRACK), None, **bearer)).status_code == 200
    assert len(await ingest.touchpoints(source, 2)) == 2


async def test_a_body_that_cannot_be_taken_apart_is_kept(ingest: Ingest) -> None:
    _, key = await ingest.source("sms")
    packed = {"content-encoding": "gzip"}
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (b"no json", {}),
        (b'{"batch":{}}', {}),
        (b"[1,2]", {}),
        (b"\x1f\x8bno gzip", packed),
        (gzip.compress(b'{"batch":[]}')[:-4], packed),
    ]
    for body, headers in bodies:
        answer = await ingest.send("/v1/batch", body, key, **headers)
        assert answer.status_code == 400
    letters = await ingest.dead_letters("sms", len(bodies))
    assert {letter.value for letter in letters} == {body for body, _ in bodies}
    assert {reason(letter) for letter in letters} == {"malformed_payload"}


async def test_an_event_too_large_for_any_topic_leaves_its_beginning(ingest: Ingest) -> None:
    _, key = await ingest.source("push")
    event = b'{"type":"track","event":"x","userId":"u","t":"' + b"x" * 3_000_000 + b'"}'
    answer = await ingest.send("/v1/batch", b'{"batch":[' + event + b"]}", key)
    assert answer.status_code == 200
    (letter,) = await ingest.dead_letters("push", 1)
    assert reason(letter) == "too_large"
    assert event.startswith(letter.value)
    assert len(letter.value) > 1_900_000


async def test_limits(ingest: Ingest) -> None:
    _, key = await ingest.source()
    bomb = gzip.compress(b'{"batch":["' + b"x" * 50_000_000 + b'"]}')
    too_large: list[tuple[bytes, dict[str, str]]] = [
        (b"x" * (4 * 1024 * 1024 + 1), {}),
        (bomb, {"content-encoding": "gzip"}),
        (b'{"batch":[' + b",".join([b"1"] * 2501) + b"]}", {}),
    ]
    for body, headers in too_large:
        assert (await ingest.send("/v1/batch", body, key, **headers)).status_code == 413
    assert await ingest.collector.is_ready()


async def test_keys(ingest: Ingest) -> None:
    source, key = await ingest.source()
    body = orjson.dumps(TRACK)
    assert (await ingest.send("/v1/track", body, None)).status_code == 401
    assert (await ingest.send("/v1/track", body, "csk_wrong")).status_code == 401
    assert (await ingest.send("/v1/track", body, key)).status_code == 200
    (shown,) = (await ingest.admin.get(f"/v1/sources/{source}")).json()["keys"]
    assert key.startswith(shown["prefix"])
    assert len(shown["prefix"]) < 20
    revoked = await ingest.admin.delete(f"/v1/sources/{source}/keys/{shown['id']}")
    assert revoked.status_code == 204
    assert (await ingest.send("/v1/track", body, key)).status_code == 401
    again = await ingest.admin.delete(f"/v1/sources/{source}/keys/{shown['id']}")
    assert again.status_code == 404


async def test_without_kafka_it_asks_to_come_back(ingest: Ingest) -> None:
    _, key = await ingest.source()
    port, nowhere = free_port(), f"127.0.0.1:{free_port()}"
    alone = ingest.roles.start(
        "ingest", "collector", extra={"CONCERT_KAFKA": nowhere, "CONCERT_HTTP_PORT": str(port)}
    )

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(auth=httpx.BasicAuth(key, ""), timeout=30) as client:
            return await client.post(f"http://127.0.0.1:{port}/v1/track", json=TRACK)

    answered = await eventually(answer, retrying=(httpx.TransportError,), within=60)
    assert answered.status_code == 503
    assert int(answered.headers["retry-after"]) >= 1
    assert not await alone.is_ready()
    alone.kill()
