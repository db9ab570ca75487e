"""Takes what is known of a household or an account to its members: a work of the sweeper.

Each member carries a copy of the traits and the size, by which its conditions are decided, so a
fold never waits for a group. A group of a million members is gone through a page at a time, and no
sooner again than REST for each of them: what changes meanwhile is taken along by the next pass.
"""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, note_due
from services.profile.domain.belonging import hear_of_group
from services.profile.domain.definitions import Look
from services.profile.domain.groups import facts_of_group
from services.profile.domain.instants import instant_text
from services.profile.domain.telling import tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import group_jobs, groups, profiles
from services.profile.storage.group_jobs import NIL, GroupJob
from services.profile.storage.groups import StoredGroup
from services.profile.use_cases import look_again
from services.profile.use_cases.backfill_definitions import MOST_FRAMES
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import change_id
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction

NEWS_AT_ONCE = 1_000
REST = timedelta(milliseconds=10)
"""Between two passes of one group, for each of its members."""


class TakeToMembers:
    """Moves groups with news."""

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
        """Look at the next members of the group that waits longest, at most `limit`; 0 when
        nothing is to be done now. Raises Infrastructure when PostgreSQL or the topic is away."""
        async with transaction(self._engine) as tx:
            if (await outbox.backlog(tx)).frames > MOST_FRAMES:
                return 0
            collected = await group_jobs.collect(tx, NEWS_AT_ONCE)
            look = await self._live.look(tx)
            job = await group_jobs.take(tx)
            if job is None:
                return collected
            changed = await self._move(tx, job, look, limit)
        metrics.SEGMENT_CHANGES.inc(changed)
        return 1

    async def give_up(self) -> None:
        """Put the first group off: it cannot be taken further, and others wait behind it."""
        async with transaction(self._engine) as tx:
            await group_jobs.put_off(tx)

    async def _move(self, tx: AsyncConnection, job: GroupJob, look: Look, limit: int) -> int:
        """How many memberships changed on the next page."""
        if job.position == NIL:
            await group_jobs.begin(tx, job)
        group = await groups.read(tx, job.group_id)
        page = await groups.members(tx, job.group_id, after=job.position, limit=limit)
        changed = 0
        if group is not None and page:
            changed = await self._tell(tx, group, page, look)
        if len(page) < limit:
            await group_jobs.end(tx, job, passed=len(page), rest=REST)
        else:
            await group_jobs.move(tx, job, position=page[-1], passed=len(page))
        return changed

    async def _tell(
        self, tx: AsyncConnection, group: StoredGroup, page: list[str], look: Look
    ) -> int:
        rules = self._rules()
        facts = facts_of_group(group.id, group.size, group.traits)
        at = instant_text(look.now)
        messages = OutboxBuffer(self._counts)
        heard: list[WorkingProfile] = []
        memberships = 0
        for stored in (await profiles.lock(tx, profiles=page)).values():
            profile = WorkingProfile(stored, rules.traits)
            if stored.status != "active" or profile.standing.group(group.kind) != group.id:
                continue
            changes, mask = hear_of_group(profile, group.kind, facts, look.definitions)
            if not changes:
                continue
            changes += catch_up(profile, look, at=at)
            changes += assess(profile, look, mask, at=at)
            note_due(profile, look)
            memberships += len(changes) - 1
            for id_, message in tell_memberships(
                profile, changes, at=at, look=look, rules=rules.identity, name=change_id
            ):
                messages.add(self._topics.profile_updates, id_.encode(), message)
            heard.append(profile)
        await look_again.write(tx, heard)
        await outbox.append(tx, messages)
        return memberships
