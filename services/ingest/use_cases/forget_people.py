"""Find what could not be read and names a person, and erase it when she is to be forgotten."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.naming import names, needles
from services.ingest.storage import people
from services.ingest.storage.people import Kept
from shared.postgres.transaction import transaction

PAGE = 5000
MOST_FOUND = 1000


async def find_failed(engine: AsyncEngine, values: Sequence[str]) -> list[Kept]:
    """Failed events that name one of the values of identifiers; at most MOST_FOUND."""
    found: list[Kept] = []
    async for page in _pages(engine, values):
        found += page
        if len(found) >= MOST_FOUND:
            break
    return found[:MOST_FOUND]


async def erase_failed(engine: AsyncEngine, values: Sequence[str]) -> int:
    """Erase failed events that name one of the values, a page at a time; how many. Doing it again
    finds what is left."""
    count = 0
    async for page in _pages(engine, values):
        if page:
            async with transaction(engine) as tx:
                count += await people.erase(tx, [one.id for one in page])
    return count


async def _pages(engine: AsyncEngine, values: Sequence[str]) -> AsyncIterator[list[Kept]]:
    sought = needles(values)
    after: UUID | None = UUID(int=0)
    while sought and after is not None:
        async with transaction(engine) as tx:
            maybe, after = await people.page(tx, after=after, limit=PAGE, needles=sought)
        yield [one for one in maybe if _names(one, values)]


def _names(one: Kept, values: Sequence[str]) -> bool:
    texts = [each.encode() for each in (one.message, one.event_id) if each is not None]
    return names([one.raw, one.key, one.headers, *texts], values)
