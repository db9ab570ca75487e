"""Every client sends the 1,000 events of its page; each is in the timeline exactly once.

HTTP clients go through the faulty proxy, Kafka clients through the cutting one. Those run twice, as
a producer does that was killed before it could note what it had sent.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.concert import Concert
from tests.clients.cutting import BEFORE_ANSWER, IN_REQUEST, Cut, Forwarded, cutting_proxy
from tests.clients.pages import FOLDER, KAFKA, KEY, URL, code_of, run
from tests.clients.proxy import FAULTS, faulty_proxy
from tests.support.eventually import eventually
from tests.support.kafka import read_all

EVENTS = 1_000
SEED = 20261122
FEW, SOME, MANY = 5, 15, 200
"""Of how many requests three go wrong: a client that makes few would else meet no fault."""

CUTS = [Cut(where, after) for after in (20_000, 40_000) for where in (IN_REQUEST, BEFORE_ANSWER)]
"""1,000 events are 150 KB and more."""

HTTP_CLIENTS = {
    "segment-python": ("segment", FEW),
    "rudder-python": ("segment", FEW),
    "segment-node": ("segment", SOME),
    "rudder-node": ("segment", SOME),
    "cloudevents-python": ("cloudevents", MANY),
    "cloudevents-js": ("cloudevents", MANY),
}
KAFKA_CLIENTS = {"confluent-kafka": "native", "cloudevents-kafka": "cloudevents", "kcat": "native"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", HTTP_CLIENTS)
async def test_over_http(concert: Concert, tmp_path: Path, client: str) -> None:
    dialect, every = HTTP_CLIENTS[client]
    key = await source_key(concert, client, "web", dialect)
    collector = concert.running["ingest-collector"].api_url
    assert collector is not None
    with faulty_proxy(collector, every=every, seed=SEED) as proxy:
        await asyncio.to_thread(run, code_of(client), tmp_path, {URL: proxy.url, KEY: key})
        assert all(proxy.seen[fault] for fault in FAULTS), proxy.seen
    await each_is_there_once(concert, client)
    records = await raw_records(concert, "web", client)
    assert records > EVENTS, "a cut connection sends again"
    report(client, proxy.seen, records)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("client", KAFKA_CLIENTS)
async def test_over_kafka(
    concert: Concert, forwarded: Forwarded, tmp_path: Path, client: str
) -> None:
    await source_key(concert, client, "pos", KAFKA_CLIENTS[client])
    replaced = {KAFKA: forwarded.proxy_url, "channel.pos": concert.topics.channel("pos")}
    for _ in range(2):
        async with cutting_proxy(forwarded, CUTS) as made:
            await asyncio.to_thread(run, code_of(client), tmp_path, replaced)
        assert made == Counter(cut.where for cut in CUTS)
    await each_is_there_once(concert, client)
    records = await raw_records(concert, "pos", client)
    assert records == 2 * EVENTS, "an idempotent producer writes nothing twice"
    report(client, made, records)


def report(client: str, faults: Counter[str], records: int) -> None:
    """One line for who runs the tests with `-s`."""
    print(f"{client}: {EVENTS} events, {dict(faults)}, {records} raw records, each applied once")


def test_every_page_is_run() -> None:
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    assert pages == HTTP_CLIENTS.keys() | KAFKA_CLIENTS.keys()


async def source_key(concert: Concert, client: str, channel: str, dialect: str) -> str:
    """Register the source that the page is about; a key of it."""
    body = {"id": client, "name": client, "channel": channel, "dialect": dialect}
    if dialect == "cloudevents":
        body["subject_as"] = "user_id"
    async with concert.api("ingest-collector") as admin:
        (await admin.post("/v1/sources", json=body)).raise_for_status()
        answer = await admin.post(f"/v1/sources/{client}/keys")
    key: str = answer.raise_for_status().json()["key"]
    return key


async def each_is_there_once(concert: Concert, client: str) -> None:
    """The timeline of the page's customer has the orders o-1 to o-1000, and nothing else."""
    await concert.until_done("web", "pos", hops=("ingest", "profile"))

    async def count() -> int:
        return len(await timeline(concert, f"u-{client}"))

    await eventually(count, until=lambda seen: seen >= EVENTS, within=60, every=1.0)
    found = await timeline(concert, f"u-{client}")
    orders = Counter(item["touchpoint"]["properties"]["order_id"] for item in found)
    assert orders == Counter({f"o-{number}": 1 for number in range(1, EVENTS + 1)})
    assert {item["touchpoint"]["type"] for item in found} == {"Order Completed"}
    assert {item["touchpoint"]["source"] for item in found} == {client}


async def timeline(concert: Concert, user: str) -> list[dict[str, Any]]:
    """All items of a user's timeline, page by page, over HTTP."""
    items: list[dict[str, Any]] = []
    async with concert.api("profile-api") as api:
        profile = await api.get(f"/v1/profiles/by/user_id/{user}")
        assert profile.status_code == 200, profile.text
        path = f"/v1/profiles/{profile.json()['id']}/timeline"
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": "500"} | ({"cursor": cursor} if cursor else {})
            page = (await api.get(path, params=query)).raise_for_status().json()
            items += page["items"]
            cursor = page["next_cursor"]
    return items


async def raw_records(concert: Concert, channel: str, client: str) -> int:
    """How often the client's events are on the raw topic, counted by its customer."""
    records = await read_all(concert.stack.kafka, concert.topics.channel(channel))
    user = f"u-{client}".encode()
    return sum(
        user in (record.value or b"") or any(user in value for _, value in record.headers)
        for record in records
    )
