"""Ask for a batch that looks for links; the linker takes it up."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import link_runs
from services.profile.storage.link_runs import LinkRun
from shared.errors import Conflict
from shared.postgres import audit
from shared.postgres.transaction import transaction

KIND = "link_run"


async def request_links(engine: AsyncEngine, *, threshold: float, who: audit.Who) -> LinkRun:
    """The batch, queued. Raises Conflict while another one waits or runs."""
    async with transaction(engine) as tx:
        run = await link_runs.request(tx, threshold=threshold, who=who.id, who_name=who.name)
        if run is None:
            raise Conflict("A batch is queued or runs: `GET /v1/link-suggestions:run` shows it.")
        after = {"threshold": threshold}
        await audit.append(tx, who=who, kind=KIND, key=str(run.id), action="request", after=after)
    return run
