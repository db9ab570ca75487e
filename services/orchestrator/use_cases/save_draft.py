"""Save the draft of a rule or a contact policy. What is live stays as it is."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import drafts
from services.orchestrator.storage.drafts import Body, Draft, Kind
from services.orchestrator.use_cases.check_configuration import check_draft
from shared import clock
from shared.postgres import audit
from shared.postgres.transaction import transaction


async def save_draft(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    body: Body,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The draft as it now stands, with its new number.

    `may_replace` is given the number of the present draft, or None, and raises what forbids the
    write. Raises Unprocessable with every mistake of the body.
    """
    check_draft(kind, key, body)
    async with transaction(engine) as tx:
        now = clock.now()
        before = await drafts.lock(tx, kind, key)
        saved = None
        if before is None:
            may_replace(None)
            saved = await drafts.insert(tx, kind, key, body, at=now, by=who.name)
            if saved is None:  # somebody else made it a moment ago
                before = await drafts.lock(tx, kind, key)
        if saved is None:
            may_replace(None if before is None else before.draft_version)
            saved = await drafts.update(tx, kind, key, body, at=now, by=who.name)
        await audit.append(
            tx,
            who=who,
            kind=kind.value,
            key=key,
            action="save",
            before=None if before is None else before.body,
            after=saved.body,
        )
        return saved
