"""Make the draft of a rule or a contact policy live, as an immutable version."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import check_draft, check_references
from shared.errors import NotFound
from shared.postgres import audit, drafts, epochs
from shared.postgres.documents import publish_document
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction


async def publish_draft(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The key with its new live version, which every worker uses within two seconds.

    `may_replace` is given the number of the draft and raises when another one is meant. Raises
    NotFound, and Unprocessable when the draft breaks a rule of today or names a template or a
    channel that is not there.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, kind, key)
        if draft is None:
            raise NotFound(f"There is no {kind.words} {key}.")
        may_replace(draft.draft_version)
        check_draft(kind, key, draft.body)
        await check_references(tx, kind, key, draft.body)
        published = await publish_document(tx, kind, draft, who=who)
        await epochs.bump_epoch(tx)
        return published
