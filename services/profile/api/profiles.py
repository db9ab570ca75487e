"""`/v1/profiles`: one person by any id or identifier, and everybody in pages."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from services.profile.api.answers import json_answer
from services.profile.api.schemas import IdentifierView, ProfileView
from services.profile.api.state import State
from services.profile.api.views import profile_json
from services.profile.domain.absorb import Rules
from services.profile.domain.identity import MAX_IDENTIFIERS
from services.profile.domain.profile import StoredProfile
from services.profile.storage import listing
from services.profile.use_cases.read_profile import (
    expire_consents,
    read_profile,
    read_profile_by_identifier,
)
from shared.access import Permission
from shared.contracts.identifier_form import form_of, plain
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.http.auth import Principal, requires
from shared.http.etag import etag
from shared.http.masking import mask_identifiers, may_see
from shared.http.pagination import Page, Paged, Paging, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

MAX_LISTED = 1000
NIL = UUID(int=0)

router = api_router(tags=["profiles"])

Reader = Annotated[Principal, requires(Permission.READ)]
Masked = Annotated[bool, Query(description="Hide personal data, whatever the token may see.")]
Include = Annotated[
    list[Literal["provenance"]], Query(description="`provenance`: where each trait comes from.")
]


def _long_paging(
    limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LISTED} are given.")] = 100,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> Paging:
    return Paging(min(limit, MAX_LISTED), cursor)


@router.get("/v1/profiles", response_model=Page[ProfileView])
async def list_profiles(
    engine: Engine,
    state: State,
    principal: Reader,
    paging: Annotated[Paging, Depends(_long_paging)],
    masked: Masked = False,
) -> Response:
    """Every active profile once, by id."""
    after = paging.after(UUID)
    async with transaction(engine) as tx:
        rows = await listing.page(
            tx, after=NIL if after is None else after[0], limit=paging.limit + 1
        )
        await expire_consents(tx, rows)
    shown, cursor = split_page(rows, paging, lambda stored: (stored.id,))
    hide = not may_see(principal, asked_masked=masked)
    items = [profile_json(one, state.rules, provenance=False, masked=hide) for one in shown]
    return json_answer({"items": items, "next_cursor": cursor})


@router.get("/v1/profiles/by/{type}/{value:path}", response_model=ProfileView)
async def get_profile_by_identifier(
    type: Annotated[str, Path(max_length=MAX_TYPE)],  # noqa: A002 - the name in the URL
    value: Annotated[str, Path(max_length=MAX_VALUE)],
    engine: Engine,
    state: State,
    principal: Reader,
    include: Include = [],  # noqa: B006 - read only
    masked: Masked = False,
) -> Response:
    """The person an identifier points at; the value may be written as freely as in an event."""
    async with transaction(engine) as tx:
        stored = await read_profile_by_identifier(tx, type, as_stored(type, value, state.rules))
    hide = not may_see(principal, asked_masked=masked)
    return profile_answer(stored, state.rules, provenance="provenance" in include, masked=hide)


@router.get("/v1/profiles/{profile_id}", response_model=ProfileView)
async def get_profile(
    profile_id: UUID,
    engine: Engine,
    state: State,
    principal: Reader,
    include: Include = [],  # noqa: B006 - read only
    masked: Masked = False,
) -> Response:
    """One person. An id that was merged away answers with the profile it belongs to now."""
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
    hide = not may_see(principal, asked_masked=masked)
    return profile_answer(stored, state.rules, provenance="provenance" in include, masked=hide)


@router.get("/v1/profiles/{profile_id}/identifiers", response_model=Page[IdentifierView])
async def list_identifiers(
    profile_id: UUID,
    engine: Engine,
    state: State,
    paging: Paged,
    principal: Reader,
    masked: Masked = False,
) -> Response:
    """Identifiers, the strongest type first, within a type the one seen last first."""
    after = paging.after(whole(MAX_IDENTIFIERS))
    start = 0 if after is None else after[0]
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
    listed = profile_json(stored, state.rules, provenance=False, masked=False)["identifiers"]
    rows = list(enumerate(listed, 1))[start : start + paging.limit + 1]
    shown, cursor = split_page(rows, paging, lambda row: (row[0],))
    items = [row[1] for row in shown]
    if not may_see(principal, asked_masked=masked):
        items = mask_identifiers(items)
    return json_answer({"items": items, "next_cursor": cursor})


def as_stored(type_: str, value: str, rules: Rules) -> str:
    """The value of an identifier, written as freely as in an event, in the form it is stored in."""
    written = plain(value)
    formed = form_of(type_, written) or written
    return rules.identity.form(type_, formed) or formed


def profile_answer(
    stored: StoredProfile, rules: Rules, *, provenance: bool, masked: bool
) -> Response:
    """The answer with one profile; its version is the ETag."""
    answer = json_answer(profile_json(stored, rules, provenance=provenance, masked=masked))
    answer.headers["ETag"] = etag(stored.seq)
    return answer
