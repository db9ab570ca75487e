"""Keep the next occurrence of what has a schedule, as long as it is live."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.rule import Trigger
from services.orchestrator.domain.schedule import next_occurrence
from services.orchestrator.storage import schedules, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey, parsed_rule
from shared.postgres import drafts
from shared.postgres.drafts import Draft, Status, Version


async def keep_schedule(tx: AsyncConnection, kind: Kind, draft: Draft) -> None:
    """Put the row of the next occurrence of a rule or a journey where it belongs, or take it away:
    after every publication and change of status, in the same transaction. What was due while it
    was not live is left out."""
    version = None
    if draft.status is Status.LIVE:
        version = await drafts.version(tx, kind, draft.key, draft.live_version)
    schedule = None if version is None else _trigger(kind, version).schedule
    due = None if schedule is None else next_occurrence(schedule, await timers.now(tx))
    if version is None or due is None:
        await schedules.remove(tx, kind, draft.key)
    else:
        await schedules.put(tx, kind, draft.key, version.version, due)


def _trigger(kind: Kind, version: Version) -> Trigger:
    if kind is Kind.JOURNEY:
        return parsed_journey(version.key, version.body).entry
    return parsed_rule(version.key, version.body).trigger
