"""Where one run stands, why, and what happened on its way."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.journeys.standing import where_it_stands
from services.orchestrator.storage import journey_runs
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.journey_runs import Line, StoredRun
from services.orchestrator.use_cases.absent import absent
from services.orchestrator.use_cases.check_configuration import parsed_journey
from shared.postgres import drafts
from shared.postgres.drafts import Status

LINES = 500


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run, the sentence that says where it stands and why, and the newest lines of its log in
    their order; whether there are `earlier` ones."""

    run: StoredRun
    sentence: str
    log: list[Line]
    earlier: bool


async def show_run(tx: AsyncConnection, run_id: UUID) -> ShownRun:
    """The run. Raises NotFound, and Gone for a person who was erased."""
    found = await journey_runs.find(tx, run_id)
    if found is None:
        raise await absent(tx, "run", run_id)
    stored, run = found
    lines = await journey_runs.log(tx, run_id, before=2**63 - 1, limit=LINES + 1)
    draft = await drafts.find(tx, Kind.JOURNEY, run.journey)
    version = await drafts.version(tx, Kind.JOURNEY, run.journey, run.version)
    sentence = f"It is in version {run.version}, which is not there any more."
    if version is not None:
        sentence = where_it_stands(
            run,
            parsed_journey(version.key, version.body, version.version),
            journey_paused=draft is not None and draft.status is Status.PAUSED,
            stuck=stored.stuck,
        )
    return ShownRun(stored, sentence, lines[:LINES][::-1], len(lines) > LINES)
