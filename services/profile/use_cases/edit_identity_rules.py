"""Save, check and publish the rules of identity. What is published holds for what comes next."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.identity_document import KEY, parse_identity_rules
from services.profile.use_cases.load_rules import KIND
from shared import clock
from shared.errors import NotFound
from shared.postgres import audit, drafts
from shared.postgres.documents import publish_document, save_document
from shared.postgres.drafts import Body, Draft
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction

UNPUBLISHED = 0

MayReplace = Callable[[int | None], None]
"""Is given the number of the draft, or None, and raises what forbids the write."""


async def save_identity_rules(
    engine: AsyncEngine, body: Body, *, may_replace: MayReplace, who: audit.Who
) -> Draft:
    """The draft as it now stands. Raises Unprocessable with every mistake of the body."""
    parse_identity_rules(body, version=UNPUBLISHED)
    now = clock.now()
    async with transaction(engine) as tx:
        return await save_document(
            tx,
            KIND,
            KEY,
            lock=partial(drafts.lock, tx, KIND, KEY),
            insert=partial(drafts.insert, tx, KIND, KEY, body, at=now, by=who.name),
            update=partial(drafts.update, tx, KIND, KEY, body, at=now, by=who.name),
            may_replace=lambda row: may_replace(None if row is None else row.draft_version),
            who=who,
        )


async def validate_identity_rules(engine: AsyncEngine, body: Body | None) -> None:
    """Returns when `body`, or without one the stored draft, could be published.

    Raises Unprocessable with every mistake, and NotFound when there is neither.
    """
    if body is None:
        async with transaction(engine) as tx:
            draft = await drafts.find(tx, KIND, KEY)
        if draft is None:
            raise NotFound("There is no draft of the identity rules: give a document to check.")
        body = draft.body
    parse_identity_rules(body, version=UNPUBLISHED)


async def publish_identity_rules(
    engine: AsyncEngine, *, may_replace: MayReplace, who: audit.Who
) -> Draft:
    """The rules with their new live version, which every worker goes by within two seconds.

    Raises NotFound, and Unprocessable when the draft breaks a rule of today.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, KIND, KEY)
        if draft is None:
            raise NotFound("There is no draft of the identity rules.")
        may_replace(draft.draft_version)
        parse_identity_rules(draft.body, version=UNPUBLISHED)
        published = await publish_document(tx, KIND, draft, who=who)
        await bump_epoch(tx)
        return published
