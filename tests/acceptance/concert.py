"""A running Concert as its users see it, with the few moves the acceptance tests share."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from deploy.local.home import open_home
from deploy.local.ports import HOST
from deploy.local.services import ROLES, Deployment
from shared.contracts.topics import Topics
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish, read_all
from tests.support.postgres import Database
from tests.support.processes import RoleProcess, RoleProcesses, free_port
from tests.support.settled import HOPS, until_settled
from tests.support.stack import Stack

WORKERS = ("ingest-worker", "profile-worker", "orchestrator-worker")
PATIENCE = 30.0
AT_ONCE = 4_000
WITHOUT_KAFKA = frozenset({"profile-linker"})
"""It reads profiles from PostgreSQL and writes suggestions there: a broker is nothing to it."""


@dataclass(slots=True)
class Concert:
    """Where everything is; `owner` is a connection that may read every service's tables."""

    stack: Stack
    topics: Topics
    database: Database
    roles: RoleProcesses
    owner: asyncpg.Connection
    running: dict[str, RoleProcess] = field(default_factory=dict)

    async def start(self, *labels: str, **extra: str) -> None:
        """Start these roles (all of them when none is named) at once and wait until ready. Asks
        have patience with the profile service: this machine may be busy."""
        wanted = [role for role in ROLES if not labels or role.label in labels]
        assert {role.label for role in wanted} >= set(labels), labels
        for role in wanted:
            settings = {"CONCERT_MEMBER": role.label, "CONCERT_DECIDE_PROFILE_MS": "5000", **extra}
            process = self.roles.start(role.service, role.name, extra=settings)
            self.running[role.label] = process
        await asyncio.gather(*(self.running[role.label].until_ready() for role in wanted))

    def who_needs(self, server: str) -> dict[str, RoleProcess]:
        """The roles that cannot work without `kafka` or `postgres`."""
        without = WITHOUT_KAFKA if server == "kafka" else frozenset[str]()
        return {label: role for label, role in self.running.items() if label not in without}

    def restart(self, label: str) -> None:
        """kill -9 a role and start it again under the same name, as a supervisor does."""
        self.running[label].kill()
        service, _, name = label.partition("-")
        self.running[label] = self.roles.start(service, name, extra={"CONCERT_MEMBER": label})

    @asynccontextmanager
    async def api(self, label: str, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A client of a role's API: the administrator's, or that of another token's holder."""
        url = self.running[label].api_url
        assert url is not None, f"{label} has no API"
        bearer = token or (self.stack.home.root / "admin-token").read_text().strip()
        headers = {"Authorization": f"Bearer {bearer}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as client:
            yield client

    async def publish(self, *messages: Message) -> None:
        """Publish to Kafka in order, acknowledged; in parts that no topic finds too large."""
        for start in range(0, len(messages), AT_ONCE):
            await publish(self.stack.kafka, messages[start : start + AT_ONCE])

    async def until_done(
        self, *channels: str, within: float = 400.0, hops: Collection[str] = HOPS
    ) -> None:
        """Wait until everything published on these channels went the whole way, or these hops."""
        await until_settled(
            self.owner, self.stack.kafka, self.topics, channels, within=within, hops=hops
        )

    async def until_live(self) -> None:
        """Wait until every role that decides uses the newest configuration."""
        newest = await self.owner.fetchval("SELECT epoch FROM orchestrator.config_epoch")
        await eventually(
            self._used, until=lambda used: used and min(used) >= newest, what="it is live"
        )

    async def _used(self) -> list[float]:
        found = []
        async with httpx.AsyncClient() as client:
            for role in self.running.values():
                text = (await client.get(f"{role.metrics_url}/metrics")).text
                line = re.search(r"^concert_rule_index_version (\S+)$", text, re.MULTILINE)
                if line is not None and float(line[1]):
                    found.append(float(line[1]))
        return found

    async def read(self, topic: str) -> list[Any]:
        """The decoded values of a topic, partition by partition."""
        return [json.loads(record.value) for record in await read_all(self.stack.kafka, topic)]

    async def profile(self, type_: str, value: str) -> dict[str, Any]:
        """The profile of an identifier, through the profile API. Raises for 404."""
        async with self.api("profile-api") as client:
            answer = await client.get(f"/v1/profiles/by/{type_}/{value}")
        profile: dict[str, Any] = answer.raise_for_status().json()
        return profile

    def event(self, channel: str, body: Mapping[str, Any], key: bytes | None = None) -> Message:
        """A native event on a channel."""
        return Message(self.topics.channel(channel), json.dumps(body).encode(), key)


@asynccontextmanager
async def concert_on(
    stack: Stack, database: Database, topics: Topics, home: Path
) -> AsyncIterator[Concert]:
    """A Concert on this database and these topics; no role is started yet, all are killed."""
    ports = {role.label: free_port() for role in ROLES if role.api_offset is not None}
    deployment = Deployment(
        home=stack.home,
        kafka=stack.kafka,
        owner_url=database.owner_url,
        service_urls=database.urls,
        profile_url=f"http://{HOST}:{ports['profile-api']}",
        orchestrator_url=f"http://{HOST}:{ports['orchestrator-api']}",
        ingest_url=f"http://{HOST}:{ports['ingest-collector']}",
        topic_prefix=topics.prefix,
    )
    roles = RoleProcesses(deployment, open_home(home), ports)
    owner = await asyncpg.connect(database.owner_url)
    try:
        yield Concert(stack, topics, database, roles, owner)
    finally:
        roles.kill_all()
        await owner.close()


async def put_and_publish(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> None:
    """Save a draft and make it live."""
    for answer in (
        await client.put(path, json=body),
        await client.post(f"{path}:publish", json={}),
    ):
        assert not answer.is_error, f"{answer.request.url}: {answer.status_code} {answer.text}"
