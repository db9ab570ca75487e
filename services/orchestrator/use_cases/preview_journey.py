"""Who is affected by the publication of a journey, and where they stand."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.versions import Affected, preview
from services.orchestrator.storage import journey_runs
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey
from services.orchestrator.use_cases.wished import Wish, wished
from shared.postgres import drafts
from shared.postgres.transaction import transaction


async def affected_by(tx: AsyncConnection, draft: Journey) -> Sequence[Affected]:
    """What the publication of a journey would do to its runs, by version and node."""
    places = await journey_runs.places(tx, draft.key)
    versions = {}
    for number in {version for version, _ in places}:
        stored = await drafts.version(tx, Kind.JOURNEY, draft.key, number)
        if stored is not None:
            versions[number] = parsed_journey(stored.key, stored.body, number)
    return preview(versions, draft, places)


async def preview_journey(
    engine: AsyncEngine, key: str, wish: Wish
) -> tuple[Journey, Sequence[Affected]]:
    """The journey that would be published, and what that would do to its runs.

    Raises NotFound without the journey or the version, and Unprocessable for a document that could
    not be published.
    """
    async with transaction(engine) as tx:
        draft = drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
        journey = parsed_journey(key, await wished(tx, Kind.JOURNEY, draft, wish))
        return journey, await affected_by(tx, journey)
