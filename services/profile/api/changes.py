"""`/v1/profiles/{id}/merges`: how it came to be one."""

from uuid import UUID

from fastapi import Response

from services.profile.api.answers import json_answer
from services.profile.api.schemas import MergeView
from services.profile.api.sight import Sees
from services.profile.api.views import merge_json
from services.profile.use_cases.read_profile import read_merges, read_profile
from shared.http.pagination import Page, Paged, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["profiles"])

MAX_NUMBER = 2**63 - 1


@router.get("/v1/profiles/{profile_id}/merges", response_model=Page[MergeView])
async def list_merges(profile_id: UUID, engine: Engine, paging: Paged, sees: Sees) -> Response:
    """Every merge that made the person one, oldest first."""
    cursor = paging.after(whole(MAX_NUMBER))
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        rows = await read_merges(
            tx,
            stored.id,
            limit=paging.limit + 1,
            after=0 if cursor is None else cursor[0],
        )
        shown, next_cursor = split_page(rows, paging, lambda merge: (merge.number,))
        items = [merge_json(merge, masked=sees.masked) for merge in shown]
        await sees.note(tx, {stored.id: ["merges"] if items else []})
    return json_answer({"items": items, "next_cursor": next_cursor})
