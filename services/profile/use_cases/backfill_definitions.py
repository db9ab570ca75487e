"""Takes a change of what is in force to all profiles, a page at a time: the sweeper's third work.

Profiles that were looked at by it already are passed by. The others are locked and looked at
again; what changes is told with `backfill: true`. The stream goes on meanwhile: a worker that
meets a profile before this does decides by the same definitions.
"""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import epoch_of
from services.profile.domain.definitions import Look
from services.profile.domain.instants import instant_text
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import definition_jobs, definitions, profiles
from services.profile.storage.definition_jobs import Job, Paged
from services.profile.use_cases import look_again
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

CRASH_POINTS = ("profile.definitions_moved", "profile.definitions_committed")
"""Where a test may kill the sweeper."""

MOST_FRAMES = 100
"""With more in the outbox a job waits: what the workers publish must not stand behind it."""


class BackfillDefinitions:
    """Moves jobs; remembers which one it has in hand."""

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
        self._in_hand: int | None = None

    async def advance(self, limit: int) -> int:
        """Look at the next profiles of the oldest open job, at most `limit`; 1 if there was a job.

        Returns 0 when nothing is to be done now. Raises Infrastructure when PostgreSQL or the
        topic is away.
        """
        async with transaction(self._engine) as tx:
            if (await outbox.backlog(tx)).frames > MOST_FRAMES:
                return 0
            look = await self._live.look(tx)
            job = await definition_jobs.take(tx)
            if job is None:
                return 0
            self._in_hand = job.epoch
            if job.status == "waiting":
                await definition_jobs.start(tx, job.epoch)
            changed = await self._move(tx, job, look, limit)
            crash_point("profile.definitions_moved")
        crash_point("profile.definitions_committed")
        metrics.SEGMENT_CHANGES.inc(changed)
        return 1

    async def give_up(self) -> None:
        """End the job that failed again and again, so that the others have their turn."""
        if self._in_hand is not None:
            async with transaction(self._engine) as tx:
                error = "it failed again and again; the sweeper's log says why"
                await definition_jobs.fail(tx, self._in_hand, error)

    async def _move(self, tx: AsyncConnection, job: Job, look: Look, limit: int) -> int:
        """How many profiles of the next page entered or left something."""
        rules = self._rules()
        page = await definition_jobs.page(tx, after=job.position, limit=limit)
        bare = {one.stored.id for one in page if one.bare}
        stale = [one.stored.id for one in page if _is_stale(one, look, rules)]
        locked = [
            WorkingProfile(stored, rules.traits)
            for stored in (await profiles.lock(tx, profiles=stale)).values()
            if stored.status == "active"
        ]
        lacking = {
            one.id
            for one in locked
            if epoch_of(one, look.definitions) < look.definitions.newest_stream
        }
        due_before = {one.id: one.standing.due for one in locked}
        messages = OutboxBuffer(self._counts)
        changed = await look_again.look_again(
            tx,
            locked,
            look,
            at=instant_text(look.now),
            backfill=True,
            rules=rules,
            topics=self._topics,
            messages=messages,
        )
        for one in locked:
            one.facts_stored &= one.id not in bare
        await look_again.write(
            tx,
            [
                one
                for one in locked
                if one.changed or one.id in bare | lacking or one.standing.due != due_before[one.id]
            ],
        )
        await outbox.append(tx, messages)
        done = len(page) < limit
        await definition_jobs.move(
            tx,
            job.epoch,
            position=page[-1].stored.id if page else str(job.position),
            examined=len(page),
            changed=len(changed),
            done=done,
        )
        if done:
            await definitions.raise_floor(tx, job.epoch)
        return len(changed)


def _is_stale(one: Paged, look: Look, rules: Rules) -> bool:
    if one.stored.status != "active":
        return False
    profile = WorkingProfile(one.stored, rules.traits)
    return one.bare or epoch_of(profile, look.definitions) < look.definitions.epoch
