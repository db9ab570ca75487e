"""Privacy requests on a real database, moved as the sweeper moves them; the other services answer
from memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.storage import privacy_requests
from services.profile.storage.privacy_requests import Request
from services.profile.use_cases.peers import Page
from services.profile.use_cases.request_privacy import request
from services.profile.use_cases.work_privacy import Means, WorkPrivacy
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from shared.errors import Infrastructure
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker

SECRET = b"a key for tests alone"
OFFICER = Who("t1", "privacy officer")


@dataclass
class Others:
    """The other services; what they were asked is kept."""

    away: bool = False
    asked: list[Identifier] = field(default_factory=list)

    async def forgotten(self, profile_id: str) -> Mapping[str, int] | None:
        if self.away:
            raise Infrastructure("orchestrator", "ConnectError")
        return {"decision": 2}

    async def forget_failed(self, identifiers: Sequence[Identifier]) -> Mapping[str, int]:
        self.asked += identifiers
        return {"failed_event": 1}

    async def failed_events(self, identifiers: Sequence[Identifier]) -> Sequence[Any]:
        return [{"raw": "broken"}]

    async def decisions(self, profile_id: str, cursor: str | None) -> Page:
        return Page([{"id": "d2" if cursor else "d1"}], None if cursor else "next")

    async def actions(self, profile_id: str, cursor: str | None) -> Page:
        return Page([], None)


class Eraser:
    """Asks for erasures and moves them."""

    def __init__(self, engine: AsyncEngine, worker: Worker) -> None:
        self.engine = engine
        self.others = Others()
        self.means = Means(
            rules=lambda: worker.rules,
            topics=Topics(),
            counts=worker.counts,
            peers=self.others,
            secret=SECRET,
            known=lambda: ["channel.web", "profile.updates"],
            export_seconds=3600,
        )
        self.work = WorkPrivacy(engine, self.means)

    async def ask(self, kind: str, profile_id: str, *, suppress: bool = False) -> str:
        async with transaction(self.engine) as tx:
            return await request(tx, kind, profile_id, suppress=suppress, who=OFFICER)

    async def run(self, *, afresh: bool = False) -> int:
        """Move everything to its end; `afresh`: each step by another sweeper. How many steps."""
        steps = 0
        while await (WorkPrivacy(self.engine, self.means) if afresh else self.work).advance(200):
            steps += 1
            assert steps < 200
        return steps

    async def erase(self, profile_id: str, *, suppress: bool = False) -> Request:
        id_ = await self.ask("erasure", profile_id, suppress=suppress)
        await self.run()
        return await self.read(id_)

    async def read(self, id_: str) -> Request:
        async with transaction(self.engine) as tx:
            found = await privacy_requests.read(tx, id_)
        assert found is not None
        return found


def secretive(engine: AsyncEngine, rules: Rules | None = None) -> Worker:
    """A worker that knows the key."""
    worker = Worker(engine, rules)
    worker.handler._secret = SECRET
    return worker
