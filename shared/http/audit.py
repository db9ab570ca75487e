"""`GET /v1/audit`: every write, who, when, before and after. Nothing changes or deletes entries."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.pagination import MAX_BIGINT, Page, Paged, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import audit
from shared.postgres.transaction import transaction

MAX_KEY = 200

router = api_router(tags=["access"])


class AuditView(BaseModel):
    """One write; `before` is null for a creation, `after` for a deletion."""

    id: int
    at: datetime
    who: str
    who_name: str
    kind: str
    key: str
    action: str
    before: Any
    after: Any


@router.get("/v1/audit")
async def list_audit(
    engine: Engine,
    paging: Paged,
    principal: Annotated[Principal, requires(Permission.READ)],
    kind: Annotated[str | None, Query(max_length=MAX_KEY)] = None,
    key: Annotated[str | None, Query(max_length=MAX_KEY)] = None,
) -> Page[AuditView]:
    """Writes, the newest first; of one kind of thing, or one thing, when given."""
    after = paging.after(whole(MAX_BIGINT))
    async with transaction(engine) as connection:
        rows = await audit.entries(
            connection,
            kind=kind,
            key=key,
            older_than=None if after is None else after[0],
            limit=paging.limit + 1,
        )
    shown, cursor = split_page(rows, paging, lambda row: (row.id,))
    return Page(items=[AuditView(**row._asdict()) for row in shown], next_cursor=cursor)
