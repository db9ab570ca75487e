"""Save the draft of a rule or a contact policy. What is live stays as it is."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import check_draft
from shared.postgres import audit, documents
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
    async with transaction(engine) as tx:
        return await documents.save_draft(tx, kind, key, body, may_replace=may_replace, who=who)
