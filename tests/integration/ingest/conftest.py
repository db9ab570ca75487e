"""Ingest alone: a collector and a worker that the tests of a module share.

Tests keep apart by the names of their sources and channels.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from aiokafka.structs import ConsumerRecord

from deploy.local.home import access_token, open_home
from deploy.local.services import Deployment
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Touchpoint, touchpoint_decoder
from tests.support.eventually import eventually
from tests.support.kafka import new_prefix, read_all, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.processes import RoleProcess, RoleProcesses, free_port
from tests.support.stack import Stack

OPEN = {"CONCERT_ALLOW_UNREGISTERED_SOURCES": "true"}


@dataclass(slots=True)
class Ingest:
    """A running collector and worker, and what tests do with them."""

    stack: Stack
    topics: Topics
    roles: RoleProcesses
    collector: RoleProcess
    worker: RoleProcess
    admin: httpx.AsyncClient
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        """Where the collector listens."""
        assert self.collector.api_url is not None
        return self.collector.api_url

    async def source(self, channel: str = "web") -> tuple[str, str]:
        """Register a new source and make a key for it; its id and the key."""
        source_id = f"shop-{next(self.numbers)}"
        body = {"id": source_id, "name": source_id, "channel": channel}
        made = await self.admin.post("/v1/sources", json=body)
        assert made.status_code == httpx.codes.CREATED, made.text
        answer = await self.admin.post(f"/v1/sources/{source_id}/keys")
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return source_id, answer.json()["key"]

    async def key(self, source: str, *scopes: str) -> str:
        """A further key of a source, with these scopes."""
        answer = await self.admin.post(f"/v1/sources/{source}/keys", json={"scopes": list(scopes)})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return str(answer.json()["key"])

    async def send(self, path: str, body: bytes, key: str | None, **headers: str) -> httpx.Response:
        """POST a body with the key as Basic user name."""
        auth = httpx.Auth() if key is None else httpx.BasicAuth(key, "")
        async with httpx.AsyncClient(timeout=30) as client:
            return await client.post(
                f"{self.url}{path}", content=body, auth=auth, headers=headers or None
            )

    async def touchpoints(self, source: str, count: int) -> list[Touchpoint]:
        """The touchpoints of a source once there are `count`; fails when there are more."""

        async def read() -> list[Touchpoint]:
            records = await read_all(self.stack.kafka, self.topics.touchpoints)
            found = [touchpoint_decoder.decode(record.value) for record in records]
            return [touchpoint for touchpoint in found if touchpoint.source == source]

        found = await eventually(
            read, until=lambda seen: len(seen) >= count, within=60, what=f"{count} of {source}"
        )
        assert len(found) == count
        return found

    async def touchpoint(self, source: str, message_id: str) -> Touchpoint:
        """The touchpoint of one event, once it is there."""

        async def read() -> list[Touchpoint]:
            records = await read_all(self.stack.kafka, self.topics.touchpoints)
            found = [touchpoint_decoder.decode(record.value) for record in records]
            return [one for one in found if (one.source, one.message_id) == (source, message_id)]

        (found, *_) = await eventually(read, within=60, what=f"{message_id} of {source}")
        return found

    async def dead_letters(self, channel: str, count: int) -> list[ConsumerRecord]:
        """The dead letters of a channel once there are `count`; fails when there are more."""
        topic = self.topics.dead_letters(self.topics.channel(channel))

        async def read() -> list[ConsumerRecord]:
            return await read_all(self.stack.kafka, topic)

        found = await eventually(
            read, until=lambda seen: len(seen) >= count, within=60, what=f"{count} on {topic}"
        )
        assert len(found) == count
        return found


@pytest.fixture(scope="module")
async def ingest(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ingest]:
    """A collector and a worker that takes unregistered sources, as the local stack's does."""
    home = open_home(tmp_path_factory.mktemp("roles"))
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
    ):
        deployment = Deployment(
            home=stack.home,
            kafka=stack.kafka,
            owner_url=database.owner_url,
            service_urls=database.urls,
            profile_url="",
            orchestrator_url="",
            topic_prefix=topics.prefix,
        )
        roles = RoleProcesses(deployment, home, {"ingest-collector": free_port()})
        try:
            collector = roles.start("ingest", "collector")
            worker = roles.start("ingest", "worker", extra=OPEN)
            await collector.until_ready()
            await worker.until_ready()
            assert collector.api_url is not None
            token = access_token(stack.home.root / "admin-token")
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                base_url=collector.api_url, headers=headers, timeout=30
            ) as admin:
                yield Ingest(stack, topics, roles, collector, worker, admin)
        finally:
            roles.kill_all()


def reason(record: ConsumerRecord) -> str:
    """Why a dead letter was refused."""
    stated: bytes = dict(record.headers)["__connect.errors.exception.class.name"]
    return stated.decode()


def native(source: str, message_id: str, **fields: Any) -> bytes:
    """A native record of a person called like the message."""
    event = {
        "id": message_id,
        "source": source,
        "type": "Seen",
        "identifiers": [{"type": "user_id", "value": message_id}],
    }
    return orjson.dumps({**event, **fields})
