"""`GET /v1/event-types`: which events and properties each source sends, planned or not."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.ingest.domain.fields import MAX_TEXT
from services.ingest.storage import discovery
from services.ingest.storage.discovery import DiscoveredProperty, DiscoveredType
from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, split_page, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction


class PropertyView(BaseModel):
    """A property: `total`, `address.city`, `products[].price`, with the JSON types it had."""

    path: str
    types: list[str]
    first_seen: datetime


class EventTypeView(BaseModel):
    """An event type of a source. `count` is close to how many came; a worker that is killed
    forgets what it counted in its last second, and one that reads again counts again."""

    source: str
    type: str
    first_seen: datetime
    last_seen: datetime
    count: int
    schema_version: int | None
    properties: list[PropertyView]


def event_types_router() -> APIRouter:
    """The route."""
    router = api_router(tags=["tracking plan"])

    @router.get("/v1/event-types")
    async def list_event_types(
        engine: Engine,
        paging: Paged,
        _: Annotated[Principal, requires(Permission.READ)],
        source: Annotated[str | None, Query(max_length=MAX_TEXT, pattern=r"^[^\x00]*$")] = None,
    ) -> Page[EventTypeView]:
        """Event types by source and name, each with its properties; listed within seconds."""
        after = paging.after(words, words)
        async with transaction(engine) as tx:
            rows = await discovery.page(
                tx,
                source=source,
                after=("", "") if after is None else (after[0], after[1]),
                limit=paging.limit + 1,
            )
            shown, cursor = split_page(rows, paging, lambda row: (row.source, row.type))
            properties = await discovery.properties(tx, shown)
        items = [_view(row, properties.get((row.source, row.type), [])) for row in shown]
        return Page(items=items, next_cursor=cursor)

    return router


def _view(row: DiscoveredType, properties: list[DiscoveredProperty]) -> EventTypeView:
    return EventTypeView(
        source=row.source,
        type=row.type,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        count=row.events,
        schema_version=row.schema_version,
        properties=[PropertyView(**one._asdict()) for one in properties],
    )
