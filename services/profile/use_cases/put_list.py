"""Have a static list: a segment without a condition, live at once."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.segment import is_static
from services.profile.storage.definition_kind import Kind
from services.profile.use_cases import define
from shared.errors import Conflict
from shared.postgres import audit, drafts
from shared.postgres.drafts import Draft, Status
from shared.postgres.transaction import transaction


async def put_list(
    engine: AsyncEngine,
    key: str,
    body: dict[str, Any],
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The list as it is now; the same again is no change. `may_replace` is given the number of the
    present draft. Raises Conflict where the key is that of a segment with a condition, or over."""
    async with transaction(engine) as tx:
        before = await drafts.find(tx, Kind.SEGMENT, key)
    document = {**body, "static": True}
    if before is not None:
        may_replace(before.draft_version)
        if not is_static(before.body):
            raise Conflict(f"segment {key} has a condition: it is no static list.")
        if before.status is Status.ARCHIVED:
            raise Conflict(f"list {key} is archived.")
        if before.status is Status.LIVE and before.body == document:
            return before
    await define.save(engine, Kind.SEGMENT, key, document, may_replace=may_replace, who=who)
    return await define.publish(engine, Kind.SEGMENT, key, may_replace=lambda _: None, who=who)
