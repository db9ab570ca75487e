"""`/v1/profiles`: one person by any id or identifier, and everybody in pages."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.api.answers import json_answer
from services.profile.api.fields import Fields, Wanted, pick, wants_provenance
from services.profile.api.schemas import IdentifierView, MembershipView, ProfileView
from services.profile.api.sight import Masked as Masked
from services.profile.api.sight import Reader as Reader
from services.profile.api.sight import Sees, Sight, plain_sight
from services.profile.api.state import ApiState, State
from services.profile.api.views import Json, profile_json
from services.profile.domain.absorb import Rules
from services.profile.domain.identity import MAX_IDENTIFIERS
from services.profile.domain.profile import StoredProfile
from services.profile.domain.standing import Standing
from services.profile.storage import listing, profiles
from services.profile.use_cases.read_profile import (
    expire_consents,
    read_as_told,
    read_profile,
    read_profile_by_identifier,
)
from shared.contracts.identifier_form import form_of, plain
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.http.auth import Principal
from shared.http.etag import IfNoneMatch, etag, is_known
from shared.http.masking import mask_identifiers
from shared.http.pagination import Page, Paged, Paging, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

MAX_LISTED = 1000
NIL = UUID(int=0)

router = api_router(tags=["profiles"])

Include = Annotated[
    list[Literal["provenance"]], Query(description="`provenance`: where each trait comes from.")
]


async def _long_paging(
    limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LISTED} are given.")] = 100,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Paging:
    return Paging(min(limit, MAX_LISTED), cursor)


@router.get("/v1/profiles", response_model=Page[ProfileView])
async def list_profiles(
    engine: Engine,
    state: State,
    sees: Sees,
    fields: Wanted,
    paging: Annotated[Paging, Depends(_long_paging)],
) -> Response:
    """Every active profile once, by id."""
    after = paging.after(UUID)
    async with sees.reading(engine) as tx:
        rows = await listing.page(
            tx, after=NIL if after is None else after[0], limit=paging.limit + 1
        )
        await expire_consents(tx, rows)
        shown, cursor = split_page(rows, paging, lambda stored: (stored.id,))
        items = [picked_json(one, state.rules, fields, masked=sees.masked) for one in shown]
        await sees.note_profiles(tx, items)
    return json_answer({"items": items, "next_cursor": cursor})


@router.get("/v1/profiles/by/{type}/{value:path}", response_model=ProfileView)
async def get_profile_by_identifier(
    type: Annotated[str, Path(max_length=MAX_TYPE)],  # noqa: A002 - the name in the URL
    value: Annotated[str, Path(max_length=MAX_VALUE)],
    engine: Engine,
    state: State,
    sees: Sees,
    fields: Wanted,
    include: Include = [],  # noqa: B006 - read only
) -> Response:
    """The person an identifier points at; the value may be written as freely as in an event.

    Whose an identifier is can change: the answer is always whole, never 304.
    """
    async with sees.reading(engine) as tx:
        stored = await read_profile_by_identifier(tx, type, as_stored(type, value, state.rules))
        return await _shown(tx, stored, state.rules, sees, fields, include)


@router.get(
    "/v1/profiles/{profile_id}",
    response_model=ProfileView,
    responses={304: {"description": "Its version is the one of `If-None-Match`."}},
)
async def get_profile(
    profile_id: UUID,
    engine: Engine,
    state: State,
    sees: Sees,
    fields: Wanted,
    include: Include = [],  # noqa: B006 - read only
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One person. An id that was merged away answers with the profile it belongs to now.

    304 when the version is the one the caller has, but not through an id that was merged away,
    nor when a consent has expired and no version says so yet.
    """
    async with sees.reading(engine) as tx:
        stored = await read_as_told(tx, str(profile_id))
        is_as_told = not await expire_consents(tx, [stored])
        is_asked = stored.id == str(profile_id)
        if is_as_told and is_asked and is_known(if_none_match, stored.seq):
            return Response(status_code=304, headers={"ETag": etag(stored.seq)})
        return await _shown(tx, stored, state.rules, sees, fields, include)


@router.get("/v1/profiles/{profile_id}/identifiers", response_model=Page[IdentifierView])
async def list_identifiers(
    profile_id: UUID, engine: Engine, state: State, paging: Paged, sees: Sees
) -> Response:
    """Identifiers, the strongest type first, within a type the one seen last first."""
    after = paging.after(whole(MAX_IDENTIFIERS))
    start = 0 if after is None else after[0]
    async with sees.reading(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        listed = profile_json(stored, state.rules, provenance=False, masked=False)["identifiers"]
        rows = list(enumerate(listed, 1))[start : start + paging.limit + 1]
        shown, cursor = split_page(rows, paging, lambda row: (row[0],))
        items = [row[1] for row in shown]
        await sees.note_profiles(tx, [{"id": stored.id, "identifiers": items}])
    if sees.masked:
        items = mask_identifiers(items)
    return json_answer({"items": items, "next_cursor": cursor})


@router.get("/v1/profiles/{profile_id}/segments", response_model=Page[MembershipView])
async def list_segments(profile_id: UUID, engine: Engine, _: Reader) -> Response:
    """The segments the person is in, by key, and since when; there are few, on one page."""
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
    standing = stored.state.standing or Standing()
    items = [{"key": key, "entered_at": at} for key, at in sorted(standing.segments.items())]
    answer = json_answer({"items": items, "next_cursor": None})
    answer.headers["ETag"] = etag(stored.seq)
    return answer


def as_stored(type_: str, value: str, rules: Rules) -> str:
    """The value of an identifier, written as freely as in an event, in the form it is stored in."""
    written = plain(value)
    formed = form_of(type_, written) or written
    return rules.identity.form(type_, formed) or formed


async def written_json(
    tx: AsyncConnection, written: Sequence[StoredProfile], state: ApiState, principal: Principal
) -> list[Json]:
    """Profiles as whoever has just written them in `tx` sees them; that is recorded."""
    sight = plain_sight(principal, state.rules.registry)
    await expire_consents(tx, written)
    views = [
        profile_json(one, state.rules, provenance=False, masked=sight.masked) for one in written
    ]
    await sight.note_profiles(tx, views)
    return views


async def written_answer(
    tx: AsyncConnection, written: StoredProfile, state: ApiState, principal: Principal
) -> Response:
    """The answer with the one profile that was written; its version is the ETag."""
    (view,) = await written_json(tx, [written], state, principal)
    answer = json_answer(view)
    answer.headers["ETag"] = etag(written.seq)
    return answer


async def members_json(
    tx: AsyncConnection, ids: Sequence[str], rules: Rules, sees: Sight
) -> list[Json]:
    """The profiles with these ids, in their order; who is not there any more is left out."""
    found = await profiles.read_many(tx, ids=ids, identifiers=[])
    people = [one for one in found if one is not None]
    await expire_consents(tx, people)
    views = [profile_json(one, rules, provenance=False, masked=sees.masked) for one in people]
    await sees.note_profiles(tx, views)
    return views


async def _shown(
    tx: AsyncConnection,
    stored: StoredProfile,
    rules: Rules,
    sees: Sight,
    fields: Fields,
    include: Collection[str],
) -> Response:
    view = picked_json(stored, rules, fields, include=include, masked=sees.masked)
    await sees.note_profiles(tx, [view])
    answer = json_answer(view)
    answer.headers["ETag"] = etag(stored.seq)
    answer.headers["Content-Location"] = f"/v1/profiles/{stored.id}"
    return answer


def picked_json(
    stored: StoredProfile,
    rules: Rules,
    fields: Fields,
    *,
    masked: bool,
    include: Collection[str] = (),
) -> Json:
    """The wanted parts of a profile."""
    provenance = wants_provenance(fields, include)
    view = profile_json(stored, rules, provenance=provenance, masked=masked)
    return pick(view, (*fields, "provenance") if fields and "provenance" in include else fields)
