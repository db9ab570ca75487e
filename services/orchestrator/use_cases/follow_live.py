"""Has the runs of a journey told of a version that they follow from now on."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import run_sweeps
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey
from shared.postgres import drafts


async def tell_followers(tx: AsyncConnection, key: str) -> None:
    """Where the live version, which is in force from this epoch on, takes along runs of earlier
    ones."""
    journey = await drafts.find(tx, Kind.JOURNEY, key)
    if journey is None or journey.live_version in (None, 1):
        return
    version = await drafts.version(tx, Kind.JOURNEY, key, journey.live_version)
    if version is None:
        return
    if parsed_journey(key, version.body, version.version).version_policy == "follow_live":
        await run_sweeps.add(tx, key, "edited")
