"""Save the draft of an event type's schema. What is published stays as it is."""

from collections.abc import Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest.domain.event_schema import schema_mistakes
from services.ingest.storage import event_schemas
from services.ingest.storage.event_schemas import KIND
from shared import clock
from shared.errors import Conflict, Unprocessable
from shared.postgres import audit, drafts
from shared.postgres.documents import save_document
from shared.postgres.drafts import Body, Draft
from shared.postgres.transaction import transaction

MAX_SCHEMAS = 1_000


async def save_event_schema(
    engine: AsyncEngine,
    key: str,
    body: Body,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The draft as it now stands, with its new number.

    `may_replace` is given the number of the present draft, or None, and raises what forbids the
    write. Raises Unprocessable with every mistake of the schema, Conflict when there are too many.
    """
    check_event_schema(key, body)
    async with transaction(engine) as tx:
        return await save_document(
            tx,
            KIND,
            key,
            lock=partial(drafts.lock, tx, KIND, key),
            insert=partial(_insert, tx, key, body, who.name),
            update=partial(drafts.update, tx, KIND, key, body, at=clock.now(), by=who.name),
            may_replace=lambda row: may_replace(None if row is None else row.draft_version),
            who=who,
        )


def check_event_schema(key: str, body: Body) -> None:
    """Raises Unprocessable with every mistake of the schema in `body`."""
    problems = schema_mistakes(body["schema"])
    if problems:
        first = problems[0]
        raise Unprocessable(
            f"The schema of {key!r} cannot be used: {first.path} {first.message}", problems
        )


async def _insert(tx: AsyncConnection, key: str, body: Body, by: str) -> Draft | None:
    if await event_schemas.count(tx) >= MAX_SCHEMAS:
        raise Conflict(f"There are {MAX_SCHEMAS} event types with a schema; no more are taken.")
    return await drafts.insert(tx, KIND, key, body, at=clock.now(), by=by)
