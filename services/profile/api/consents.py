"""`/v1/profiles/{id}/consents`: what a customer allows or refuses, and how that came about."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from services.profile.api.answers import json_answer
from services.profile.api.consent_schemas import (
    ConsentBody,
    ConsentLineView,
    ConsentsBody,
    ConsentView,
)
from services.profile.api.profiles import written_answer
from services.profile.api.schemas import ProfileView
from services.profile.api.sight import Sees
from services.profile.api.state import State
from services.profile.api.views import (
    Json,
    consent_line_json,
    consents_json,
    personal_in_line,
)
from services.profile.domain.consent import consent_key
from services.profile.domain.consent_change import ConsentChange
from services.profile.domain.profile import StoredProfile
from services.profile.storage import consent_history
from services.profile.storage.consent_history import Proof
from services.profile.use_cases.read_profile import read_consent_history, read_profile
from services.profile.use_cases.record_consents import record_consents
from shared.access import Permission
from shared.contracts.times import rfc3339
from shared.http.auth import Principal, requires
from shared.http.etag import IfMatch, check_if_match, etag
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["profiles"])

PrivacyOfficer = Annotated[Principal, requires(Permission.PRIVACY)]
Include = Annotated[
    list[Literal["proof"]], Query(description="`proof`: the lines that each stands on.")
]


@router.get("/v1/profiles/{profile_id}/consents", response_model=Page[ConsentView])
async def list_consents(
    profile_id: UUID,
    engine: Engine,
    sees: Sees,
    include: Include = [],  # noqa: B006 - read only
) -> Response:
    """The last word on each purpose and channel; there are few, so they are on one page."""
    async with sees.reading(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        items = consents_json(stored)
        if "proof" in include:
            lines = await consent_history.by_id(tx, _proofs(stored))
            shown = {
                id_: consent_line_json(line, masked=sees.masked) for id_, line in lines.items()
            }
            await sees.note(tx, {stored.id: _personal(shown.values())})
            _add_evidence(items, stored, shown)
    answer = json_answer({"items": items, "next_cursor": None})
    answer.headers["ETag"] = etag(stored.seq)
    return answer


def _personal(lines: Iterable[Json]) -> list[str]:
    return sorted({name for line in lines for name in personal_in_line(line)})


def _proofs(stored: StoredProfile) -> list[str]:
    records = stored.state.consents.values()
    named = [record.proof for record in records]
    named += [one.confirmed.proof for one in records if one.confirmed is not None]
    return [one for one in named if one is not None]


def _add_evidence(items: list[Json], stored: StoredProfile, shown: dict[str, Json]) -> None:
    for item in items:
        record = stored.state.consents.get(consent_key(item["purpose"], item["channel"]))
        confirmed = None if record is None else record.confirmed
        named = (item["proof"], None if confirmed is None else confirmed.proof)
        item["evidence"] = [shown[one] for one in named if one in shown]


@router.get("/v1/profiles/{profile_id}/consents/history", response_model=Page[ConsentLineView])
async def list_consent_history(
    profile_id: UUID, engine: Engine, paging: Paged, sees: Sees
) -> Response:
    """Everything that was ever said about the person's consents, with its proof, newest first."""
    cursor = paging.after(instant, UUID)
    before = None if cursor is None else (cursor[0], str(cursor[1]))
    async with sees.reading(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        rows = await read_consent_history(tx, stored, limit=paging.limit + 1, before=before)
        shown, next_cursor = split_page(rows, paging, lambda line: (line.at, line.id))
        items = [consent_line_json(line, masked=sees.masked) for line in shown]
        await sees.note(tx, {stored.id: _personal(items)})
    return json_answer({"items": items, "next_cursor": next_cursor})


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
    async with transaction(engine) as tx:
        stored = await record_consents(
            tx,
            profile_id,
            [_change(one) for one in body.consents],
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
            topics=state.topics,
            counts=state.counts,
            rules=state.rules,
            live=state.live,
            proof=Proof(**body.proof.model_dump(), actor=principal.name),
        )
        return await written_answer(tx, stored, state, principal)


def _change(body: ConsentBody) -> ConsentChange:
    return ConsentChange(
        body.purpose,
        body.channel,
        body.status,
        body.basis,
        body.text_version,
        None if body.expires_at is None else rfc3339(body.expires_at),
        None if body.at is None else rfc3339(body.at),
    )
