"""Takes an event to its audience, a page of profiles at a time: the sweeper's work.

Each page is one transaction: the job's row is locked, profiles behind its position are looked at,
copies for the members go into the outbox and the position moves. Profiles are not locked: who is
meant is decided by the row as it was committed last. A job whose condition names segments or
personas waits until everybody was looked at by the definitions in force.
"""

import asyncio
import logging
from collections.abc import Callable

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.audience import (
    Copies,
    Membership,
    facts_of,
    membership,
)
from services.profile.domain.definitions import not_in_force
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import audience_jobs, definition_jobs, listing
from services.profile.storage.audience_jobs import OpenJob
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared import clock
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.touchpoint import touchpoint_decoder
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

CRASH_POINTS = ("profile.copies_appended", "profile.page_committed")
"""Where a test may kill the sweeper."""

MOST_FRAMES = 100
"""With more in the outbox a job waits: what the workers publish must not stand behind it."""
PAGE_BYTES = 4 * 1024 * 1024
"""Most bytes of copies in one transaction."""
COPIES_PER_SECOND = 1000
"""Of one sweeper, so that events of people who act now are not kept waiting by many copies."""
MEASURE_SECONDS = 2.0
HEADERS = (("x-concert-dialect", b"native"),)
"""What the collector says of a record too: it is native, whatever the fields of its event are."""


class FanOut:
    """Moves jobs; remembers which one it has in hand, and how fast it went."""

    def __init__(
        self, engine: AsyncEngine, *, counts: PartitionCounts, rules: Callable[[], Rules]
    ) -> None:
        self._engine = engine
        self._counts = counts
        self._rules = rules
        self._live = LiveDefinitions()
        self._in_hand: str | None = None
        self._not_before = 0.0

    async def advance(self, limit: int) -> int:
        """Look at the next profiles of the oldest open job, at most `limit`; 1 if there was a job.

        Returns 0 when nothing is to be done now. Raises Infrastructure when PostgreSQL or the
        topic is away.
        """
        self._in_hand = None
        await asyncio.sleep(self._not_before - clock.monotonic_seconds())
        async with transaction(self._engine) as tx:
            if (await outbox.backlog(tx)).frames > MOST_FRAMES:
                return 0
            job = await audience_jobs.take(tx)
            if job is None:
                return 0
            self._in_hand = job.touchpoint_id
            meant = membership(msgspec.json.decode(job.condition))
            if meant.segments or meant.personas:
                look = await self._live.look(tx)
                missing = not_in_force(meant.segments, meant.personas, look.definitions)
                if missing is not None:
                    await audience_jobs.end(tx, job.touchpoint_id, "failed", missing.says)
                    return 1
                if await definition_jobs.count_open(tx):
                    return 0
            copies = await self._move(tx, job, meant, limit)
            crash_point("profile.copies_appended")
        crash_point("profile.page_committed")
        metrics.AUDIENCE_COPIES.inc(copies)
        self._not_before = clock.monotonic_seconds() + copies / COPIES_PER_SECOND
        return 1

    async def give_up(self) -> None:
        """End the job that failed again and again, so that the others have their turn."""
        if self._in_hand is not None:
            async with transaction(self._engine) as tx:
                error = "it failed again and again; the sweeper's log says why"
                await audience_jobs.end(tx, self._in_hand, "failed", error)

    async def _move(self, tx: AsyncConnection, job: OpenJob, meant: Membership, limit: int) -> int:
        """How many copies the next page gave."""
        copies = Copies(touchpoint_decoder.decode(job.touchpoint))
        until = job.until if job.started else await audience_jobs.start(tx, job.touchpoint_id)
        limit = max(1, min(limit, PAGE_BYTES // copies.size))
        page = (
            []
            if until is None
            else await listing.page_of_all(tx, after=job.position, until=until, limit=limit)
        )
        rules, at = self._rules(), await listing.business_time(tx)
        messages, left_out = OutboxBuffer(self._counts), 0
        for stored in page:
            profile = WorkingProfile(stored, rules.traits)
            if stored.status != "active" or not meant.holds(facts_of(profile, rules.identity, at)):
                continue
            if profile.size:
                key = f"{RESERVED_TYPE}:{stored.id}".encode()
                messages.add(copies.topic, key, copies.of(stored.id), HEADERS)
            else:
                left_out += 1
        await outbox.append(tx, messages)
        await audience_jobs.move(
            tx,
            job.touchpoint_id,
            position=page[-1].id if page else str(job.position),
            examined=len(page),
            matched=len(messages),
            left_out=left_out,
            done=len(page) < limit,
        )
        return len(messages)


async def measure(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Show how many jobs are open, every few seconds until told to stop."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                metrics.AUDIENCE_JOBS_OPEN.set(await audience_jobs.count_open(tx))
        except Infrastructure as error:
            logger.warning("audiences: open jobs could not be counted: %s", error)
        await wait(stopping, MEASURE_SECONDS)
