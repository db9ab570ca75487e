"""Corrections of identity: merge by hand, undo a merge, split a profile, and what is kept apart."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.api.answers import json_answer
from services.profile.api.identity_schemas import (
    CannotLinkView,
    DividedView,
    MergeBody,
    SplitBody,
    UndoBody,
)
from services.profile.api.profiles import as_stored, written_answer, written_json
from services.profile.api.schemas import ProfileView
from services.profile.api.sight import Sees, plain_sight
from services.profile.api.state import ApiState, State
from services.profile.api.views import Json
from services.profile.domain.profile import identifier_of
from services.profile.storage import cannot_links
from services.profile.storage.cannot_links import CannotLink
from services.profile.use_cases.merge_by_hand import merge_by_hand
from services.profile.use_cases.read_profile import read_profile
from services.profile.use_cases.set_apart import keep_profiles_apart, remove_cannot_link
from services.profile.use_cases.split_profile import split_profile
from services.profile.use_cases.undo_merge import Divided, undo_merge
from shared.access import Permission
from shared.contracts.times import rfc3339
from shared.contracts.touchpoint import Identifier
from shared.http.auth import Principal, requires
from shared.http.etag import IfMatch, check_if_match, etag
from shared.http.masking import mask_identifiers
from shared.http.pagination import Page, Paged, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

NIL = UUID(int=0)

Corrector = Annotated[Principal, requires(Permission.PRIVACY)]
"""Who may change what is one person and what is two."""

router = api_router(tags=["identity"])


@router.post("/v1/profiles:merge", response_model=ProfileView)
async def merge_profiles(
    body: MergeBody,
    engine: Engine,
    state: State,
    principal: Corrector,
    if_match: IfMatch = None,
) -> Response:
    """Make two profiles one; If-Match names the version of the one that stays, the older one."""
    async with transaction(engine) as tx:
        merged = await merge_by_hand(
            tx,
            [str(one) for one in body.profiles],
            why=body.reason,
            who=principal.who,
            may_replace=partial(check_if_match, if_match),
            rules=state.rules,
            live=state.live,
            topics=state.topics,
            counts=state.counts,
        )
        return await written_answer(tx, merged.profile, state, principal)


@router.post("/v1/merges/{merge_id}:undo", response_model=DividedView)
async def undo(
    merge_id: UUID,
    engine: Engine,
    state: State,
    principal: Corrector,
    body: UndoBody | None = None,
    if_match: IfMatch = None,
) -> Response:
    """Give the loser back what it brought; If-Match names the version of the winner."""
    async with transaction(engine) as tx:
        divided = await undo_merge(
            tx,
            str(merge_id),
            why="" if body is None else body.reason,
            who=principal.who,
            may_replace=partial(check_if_match, if_match),
            rules=state.rules,
            live=state.live,
            topics=state.topics,
            counts=state.counts,
        )
        return await _divided(tx, divided, state, principal, dry_run=False)


@router.post("/v1/profiles/{profile_id}:split", response_model=DividedView)
async def split(
    profile_id: UUID,
    body: SplitBody,
    engine: Engine,
    state: State,
    principal: Corrector,
    if_match: IfMatch = None,
) -> Response:
    """Give some identifiers a profile of their own; with `dry_run` nothing changes."""
    rules = state.rules
    keys = [f"{one.type}\0{as_stored(one.type, one.value, rules)}" for one in body.identifiers]
    async with transaction(engine) as tx:
        divided = await split_profile(
            tx,
            str(profile_id),
            keys,
            dry_run=body.dry_run,
            why=body.reason,
            who=principal.who,
            may_replace=partial(check_if_match, if_match),
            rules=state.rules,
            live=state.live,
            topics=state.topics,
            counts=state.counts,
        )
        return await _divided(tx, divided, state, principal, dry_run=body.dry_run)


@router.get("/v1/cannot-links", response_model=Page[CannotLinkView])
async def list_cannot_links(
    engine: Engine,
    paging: Paged,
    sees: Sees,
    profile_id: Annotated[UUID | None, Query(description="Only pairs of this profile.")] = None,
) -> Response:
    """The pairs of identifiers that nothing may unite, oldest first."""
    after = paging.after(UUID)
    async with sees.reading(engine) as tx:
        one = None if profile_id is None else (await read_profile(tx, str(profile_id))).id
        rows = await cannot_links.page(
            tx,
            profile_id=one,
            after=str(NIL if after is None else after[0]),
            limit=paging.limit + 1,
        )
        shown, cursor = split_page(rows, paging, lambda row: (row.id,))
        await sees.note(tx, _named_in(shown))
    items = [_cannot_link(row, masked=sees.masked) for row in shown]
    return json_answer({"items": items, "next_cursor": cursor})


@router.post("/v1/cannot-links", status_code=204)
async def add_cannot_link(
    body: MergeBody, engine: Engine, state: State, principal: Corrector
) -> None:
    """Say that two profiles are two people; touchpoints cannot unite them."""
    async with transaction(engine) as tx:
        await keep_profiles_apart(
            tx,
            [str(one) for one in body.profiles],
            why=body.reason,
            who=principal.who,
            rules=state.rules,
            topics=state.topics,
            counts=state.counts,
        )


@router.delete("/v1/cannot-links/{link_id}", status_code=204)
async def delete_cannot_link(
    link_id: UUID, engine: Engine, state: State, principal: Corrector
) -> None:
    """Let touchpoints unite the pair again."""
    async with transaction(engine) as tx:
        await remove_cannot_link(
            tx,
            str(link_id),
            who=principal.who,
            rules=state.rules,
            topics=state.topics,
            counts=state.counts,
        )


async def _divided(
    tx: AsyncConnection,
    divided: Divided,
    state: ApiState,
    principal: Principal,
    *,
    dry_run: bool,
) -> Response:
    hide = plain_sight(principal, state.rules.registry).masked
    both = [divided.source, divided.target]
    profile, split_off = await written_json(tx, both, state, principal)
    answer = json_answer(
        {
            "profile": profile,
            "split_off": split_off,
            "moved": _identifiers(map(identifier_of, divided.moved), masked=hide),
            "kept_apart": [
                _identifiers(map(identifier_of, pair), masked=hide) for pair in divided.apart
            ],
            "dry_run": dry_run,
        }
    )
    if not dry_run:
        answer.headers["ETag"] = etag(divided.source.seq)
    return answer


def _named_in(pairs: Iterable[CannotLink]) -> dict[str, list[str]]:
    """The identifiers that the pairs show, by the profiles they are of."""
    named: dict[str, set[str]] = {}
    for row in pairs:
        for profile_id in row.profiles:
            types = (f"identifiers.{one.type}" for one in (row.one, row.other))
            named.setdefault(profile_id, set()).update(types)
    return {profile_id: sorted(fields) for profile_id, fields in named.items()}


def _cannot_link(row: CannotLink, *, masked: bool) -> Json:
    return {
        "id": row.id,
        "identifiers": _identifiers([row.one, row.other], masked=masked),
        "profiles": list(row.profiles),
        "cause": row.cause,
        "cause_id": row.cause_id,
        "reason": row.why,
        "by": row.actor,
        "at": rfc3339(row.at),
    }


def _identifiers(identifiers: Iterable[Identifier], *, masked: bool) -> list[Json]:
    listed = [{"type": one.type, "value": one.value} for one in identifiers]
    return mask_identifiers(listed) if masked else listed
