"""Check a rule or a contact policy as publishing would, without storing anything."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import check_draft, check_references
from shared.errors import NotFound
from shared.postgres import drafts
from shared.postgres.drafts import Body
from shared.postgres.transaction import transaction


async def validate_draft(engine: AsyncEngine, kind: Kind, key: str, body: Body | None) -> None:
    """Returns when `body`, or without one the stored draft, could be published.

    Raises Unprocessable with every mistake, and NotFound when there is neither.
    """
    async with transaction(engine) as tx:
        if body is None:
            draft = await drafts.find(tx, kind, key)
            if draft is None:
                raise NotFound(f"There is no {kind.words} {key}: give a document to check.")
            body = draft.body
        check_draft(kind, key, body)
        await check_references(tx, kind, key, body)
