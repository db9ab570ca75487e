"""Keep an event from those of its audience that it has not gone to yet."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import audience_jobs
from services.profile.storage.audience_jobs import Progress
from shared.errors import Conflict, NotFound
from shared.postgres import audit
from shared.postgres.transaction import transaction

KIND = "audience-events"


async def cancel_audience_event(
    engine: AsyncEngine, touchpoint_id: UUID, who: audit.Who
) -> Progress:
    """The job as it stands then. Raises NotFound, and Conflict when it has ended already."""
    key = str(touchpoint_id)
    async with transaction(engine) as tx:
        ended = await audience_jobs.end(tx, key, "cancelled")
        job = await audience_jobs.read(tx, key)
        if job is None:
            raise NotFound(f"there is no event {key} with an audience")
        if not ended:
            raise Conflict(f"the event {key} has ended: it is {job.status}")
        after = {"status": job.status, "examined": job.examined, "matched": job.matched}
        await audit.append(tx, who=who, kind=KIND, key=key, action="cancel", after=after)
        return job
