"""Acts when time alone changes what somebody is a member of, or ends a consent.

Due profiles are found without locks, those that nobody holds are locked, and looked at again.

Who is due at once was divided, or united while a definition was on its way: nothing happened to
them, so what changes is told with `backfill: true`. What time alone changes is news.
"""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.instants import instant_text
from services.profile.domain.standing import AT_ONCE
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import consent_history, deadlines, definition_jobs, profiles
from services.profile.storage.consent_history import NewLine
from services.profile.use_cases import look_again
from services.profile.use_cases.lapse_consents import lapse_consents
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

CRASH_POINTS = ("profile.deadlines_swept", "profile.deadlines_committed")
"""Where a test may kill the sweeper."""

MEASURE_SECONDS = 2.0


class SweepDeadlines:
    """Looks again at profiles that are due."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        topics: Topics,
        counts: PartitionCounts,
        rules: Callable[[], Rules],
    ) -> None:
        self._engine = engine
        self._topics = topics
        self._counts = counts
        self._rules = rules
        self._live = LiveDefinitions()

    async def advance(self, limit: int) -> int:
        """Look at profiles that are due, at most `limit`; how many were.

        Raises Infrastructure when PostgreSQL or the topic is away.
        """
        rules = self._rules()
        async with transaction(self._engine) as tx:
            look = await self._live.look(tx)
            due = await deadlines.due(tx, limit)
            if not due:
                return 0
            stored = await profiles.lock_free(tx, due)
            messages = OutboxBuffer(self._counts)
            looked_at: list[WorkingProfile] = []
            delays: list[float] = []
            changed = 0
            lapsed: list[NewLine] = []
            for one in stored:
                profile = WorkingProfile(one, rules.traits)
                instant = profile.standing.due
                if one.status == "active" and instant is not None and instant <= look.now:
                    lapsed += lapse_consents(
                        profile, look, rules=rules, topics=self._topics, messages=messages
                    )
                    changes = await look_again.look_again(
                        tx,
                        [profile],
                        look,
                        at=instant_text(look.now if instant == AT_ONCE else instant),
                        backfill=instant == AT_ONCE,
                        rules=rules,
                        topics=self._topics,
                        messages=messages,
                    )
                    looked_at.append(profile)
                    changed += len(changes)
                    if instant > AT_ONCE:
                        delays.append((look.now - instant) / 1000)
            await look_again.write(tx, looked_at)
            await consent_history.append(tx, lapsed)
            await deadlines.remove(tx, [one.id for one in stored if one.status != "active"])
            await outbox.append(tx, messages)
            crash_point("profile.deadlines_swept")
        crash_point("profile.deadlines_committed")
        metrics.SEGMENT_CHANGES.inc(changed)
        for delay in delays:
            metrics.DEADLINE_DELAY.observe(delay)
        return len(looked_at)

    async def give_up(self) -> None:
        """Put the first due profile off: it cannot be looked at, and others wait behind it."""
        async with transaction(self._engine) as tx:
            await deadlines.postpone_first(tx)


async def measure(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Show how many profiles are due and how many jobs are open, every few seconds until told to
    stop."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                metrics.DEADLINES_OVERDUE.set(await deadlines.overdue(tx))
                metrics.DEFINITION_JOBS_OPEN.set(await definition_jobs.count_open(tx))
        except Infrastructure as error:
            logger.warning("deadlines: those that are due could not be counted: %s", error)
        await wait(stopping, MEASURE_SECONDS)
