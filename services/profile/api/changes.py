"""`/v1/profiles/{id}/merges` and `/consents`: how it came to be so."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Response

from services.profile.api.answers import json_answer
from services.profile.api.profiles import profile_answer
from services.profile.api.schemas import (
    ConsentsBody,
    ConsentView,
    MergeView,
    ProfileView,
)
from services.profile.api.sight import Reader, Sees
from services.profile.api.state import State
from services.profile.api.views import consents_json, merge_json
from services.profile.domain.consent import ConsentChange
from services.profile.use_cases.read_profile import read_merges, read_profile
from services.profile.use_cases.record_consents import record_consents
from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.etag import IfMatch, check_if_match, etag
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["profiles"])

MAX_NUMBER = 2**63 - 1
PrivacyOfficer = Annotated[Principal, requires(Permission.PRIVACY)]


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


@router.get("/v1/profiles/{profile_id}/consents", response_model=Page[ConsentView])
async def list_consents(profile_id: UUID, engine: Engine, _: Reader) -> Response:
    """The last word on each purpose and channel; there are few, so they are on one page."""
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
    answer = json_answer({"items": consents_json(stored), "next_cursor": None})
    answer.headers["ETag"] = etag(stored.seq)
    return answer


@router.put("/v1/profiles/{profile_id}/consents", response_model=ProfileView)
async def put_consents(
    profile_id: UUID,
    body: ConsentsBody,
    engine: Engine,
    state: State,
    principal: PrivacyOfficer,
    if_match: IfMatch = None,
) -> Response:
    """Record what the customer said; it holds for the next decision."""
    stored = await record_consents(
        engine,
        profile_id,
        [ConsentChange(**one.model_dump()) for one in body.consents],
        may_replace=partial(check_if_match, if_match),
        who=principal.who,
        topics=state.topics,
        counts=state.counts,
        rules=state.rules,
        live=state.live,
    )
    hide = not may_see(principal, asked_masked=False)
    return profile_answer(stored, state.rules, provenance=False, masked=hide)
