"""Publishes segments and personas, and does the sweeper's work, on a test's database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import definition_jobs
from services.profile.storage.definition_jobs import Job
from services.profile.storage.definition_kind import Kind
from services.profile.use_cases import define
from services.profile.use_cases.backfill_definitions import BackfillDefinitions
from services.profile.use_cases.sweep_deadlines import SweepDeadlines
from shared.contracts.topics import Topics
from shared.postgres import audit
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker

WHO = audit.Who("t", "tester")


class Definer:
    """What people and the sweeper do, without HTTP or processes."""

    def __init__(self, worker: Worker) -> None:
        self.engine: AsyncEngine = worker.engine
        wiring = {"topics": Topics(), "counts": worker.counts, "rules": lambda: worker.rules}
        self.backfill = BackfillDefinitions(worker.engine, **wiring)  # type: ignore[arg-type]  # by name
        self.sweep = SweepDeadlines(worker.engine, **wiring)  # type: ignore[arg-type]  # by name

    async def segment(self, key: str, condition: dict[str, Any]) -> None:
        """Save and publish a segment."""
        await self.publish(Kind.SEGMENT, key, {"name": key, "condition": condition})

    async def persona(self, key: str, order: int, condition: dict[str, Any]) -> None:
        """Save and publish a persona."""
        body = {"name": key, "order": order, "condition": condition}
        await self.publish(Kind.PERSONA, key, body)

    async def trait(self, name: str, **fields: Any) -> None:
        """Save and publish a trait, under its name in lower case."""
        await self.publish(Kind.TRAIT, name.lower(), {"name": name, **fields})

    async def publish(self, kind: Kind, key: str, body: dict[str, Any]) -> None:
        """Save and publish a definition."""
        await define.save(self.engine, kind, key, body, may_replace=lambda _: None, who=WHO)
        await define.publish(self.engine, kind, key, may_replace=lambda _: None, who=WHO)

    async def archive(self, key: str, kind: Kind = Kind.SEGMENT) -> None:
        """Take a segment, or what else it is, out of force."""
        await define.archive(self.engine, kind, key, may_replace=lambda _: None, who=WHO)

    async def settle(self, limit: int = 3) -> None:
        """Do all background work there is."""
        while await self.backfill.advance(limit):
            pass
        await self.sweep_all(limit)

    async def sweep_all(self, limit: int = 3) -> int:
        """Act on every deadline that is due; how many profiles that were."""
        swept = 0
        while found := await self.sweep.advance(limit):
            swept += found
        return swept

    async def job(self, kind: str, key: str) -> Job:
        """The last change of a definition."""
        async with transaction(self.engine) as tx:
            found = await definition_jobs.latest(tx, kind, key)
        assert found is not None
        return found

    async def advance_clock(self, step: timedelta) -> None:
        """Let time pass for everybody."""
        async with transaction(self.engine) as tx:
            await tx.execute(text("SELECT clock.advance(CAST(:step AS interval))"), {"step": step})
