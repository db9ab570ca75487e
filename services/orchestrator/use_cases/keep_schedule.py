"""Keep the next occurrence of a scheduled rule, as long as the rule is live."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.schedule import next_occurrence
from services.orchestrator.storage import schedules, timers
from services.orchestrator.use_cases.check_configuration import parsed_rule
from shared.postgres import drafts
from shared.postgres.drafts import Draft, Status


async def keep_schedule(tx: AsyncConnection, rule: Draft) -> None:
    """Put the row of the rule's next occurrence where it belongs, or take it away: after every
    publication and change of status, in the same transaction. What was due while the rule was not
    live is left out."""
    version = None
    if rule.status is Status.LIVE:
        version = await drafts.version(tx, "rule", rule.key, rule.live_version)
    schedule = None
    if version is not None:
        schedule = parsed_rule(version.key, version.body).trigger.schedule
    due = None if schedule is None else next_occurrence(schedule, await timers.now(tx))
    if version is None or due is None:
        await schedules.remove(tx, rule.key)
    else:
        await schedules.put(tx, rule.key, version.version, due)
