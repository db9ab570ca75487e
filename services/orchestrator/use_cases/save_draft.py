"""Save the draft of a rule or a contact policy. What is live stays as it is."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import check_draft
from shared import clock
from shared.postgres import audit, drafts
from shared.postgres.documents import save_document
from shared.postgres.drafts import Body, Draft
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
    now = clock.now()
    async with transaction(engine) as tx:
        return await save_document(
            tx,
            kind,
            key,
            lock=partial(drafts.lock, tx, kind, key),
            insert=partial(drafts.insert, tx, kind, key, body, at=now, by=who.name),
            update=partial(drafts.update, tx, kind, key, body, at=now, by=who.name),
            may_replace=lambda row: may_replace(None if row is None else row.draft_version),
            who=who,
        )
