"""Pause, resume or archive what was drafted."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.storage import schedules
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.keep_schedule import keep_schedule
from shared.errors import Conflict
from shared.postgres import audit, drafts, epochs
from shared.postgres.documents import change_draft_status
from shared.postgres.drafts import Draft, Status
from shared.postgres.transaction import transaction

ALLOWED: Mapping[str, tuple[frozenset[Status], Status]] = {
    "pause": (frozenset({Status.LIVE}), Status.PAUSED),
    "resume": (frozenset({Status.PAUSED}), Status.LIVE),
    "archive": (frozenset({Status.DRAFT, Status.LIVE, Status.PAUSED}), Status.ARCHIVED),
}
"""What can be done: from which statuses, to which one."""

Also = Callable[[AsyncConnection], Awaitable[None]]
"""What else is done in the same transaction, at the end."""


async def change_status(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    change: str,
    *,
    who: audit.Who,
    asked: Mapping[str, Any] | None = None,
    also: Also | None = None,
    again: bool = False,
) -> Draft:
    """The key in its new status; every worker knows within two seconds.

    `change` is one of ALLOWED. Doing it again changes nothing, unless `again`. `asked` is what the
    audit log says was asked for with it, and `also` does it. What an archived key published
    stays readable; publishing it again makes it live. Raises NotFound, and Conflict when the
    present status does not allow the change.
    """
    origins, target = ALLOWED[change]
    async with transaction(engine) as tx:
        before = drafts.there(await drafts.lock(tx, kind, key), kind.words, key)
        if before.status is target and not again:
            return before
        if before.status not in origins | {target}:
            allowed = " or ".join(sorted(origins))
            raise Conflict(
                f"{kind.words} {key} is {before.status}; {change} is for what is {allowed}."
            )
        after = await change_draft_status(
            tx, kind, before, target, action=change, who=who, asked=asked
        )
        if kind in schedules.SCHEDULED:
            await keep_schedule(tx, kind, after)
        await epochs.bump_epoch(tx)
        if also is not None:
            await also(tx)
        return after
