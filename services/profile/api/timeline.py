"""`/v1/profiles/{id}/timeline`: what happened to a person, from three sources, newest first."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.api.answers import json_answer
from services.profile.api.profiles import Masked, Reader
from services.profile.api.schemas import TimelineItem
from services.profile.api.views import Json, consent_line_json, merge_json, touchpoint_json
from services.profile.domain.consent import about
from services.profile.domain.profile import StoredProfile
from services.profile.storage.consent_history import Line
from services.profile.use_cases.read_profile import (
    read_consent_history,
    read_merges,
    read_profile,
    read_timeline,
)
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.ids import derived_id
from shared.postgres.transaction import transaction

MAX_MERGES = 1000
CONSENT_ITEMS = UUID("e2a7a2ce-6b0c-5a7e-9f0e-0d6f3b1f4c55")
"""Consents from before there was a history have no id; their place in a timeline needs one."""


class Item(NamedTuple):
    """One item; items are ordered by `at`, then `id`."""

    at: datetime
    id: str
    kind: str
    content: Json


router = api_router(tags=["profiles"])


@router.get("/v1/profiles/{profile_id}/timeline", response_model=Page[TimelineItem])
async def list_timeline(
    profile_id: UUID, engine: Engine, paging: Paged, principal: Reader, masked: Masked = False
) -> Response:
    """Touchpoints, merges and what was said about consents, newest first."""
    cursor = paging.after(instant, UUID)
    before = None if cursor is None else (cursor[0], str(cursor[1]))
    hide = not may_see(principal, asked_masked=masked)
    async with transaction(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        found = await _items(tx, stored, before=before, limit=paging.limit + 1, masked=hide)
    shown, next_cursor = split_page(found, paging, lambda item: (item.at, item.id))
    items = [
        {"kind": item.kind, "at": rfc3339(item.at), "id": item.id, item.kind: item.content}
        for item in shown
    ]
    return json_answer({"items": items, "next_cursor": next_cursor})


async def _items(
    tx: AsyncConnection,
    stored: StoredProfile,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
    masked: bool,
) -> list[Item]:
    """At most `limit` items behind `before`, newest first."""
    items = [
        Item(one.occurred_at, one.id, "touchpoint", touchpoint_json(one, masked=masked))
        for one in await read_timeline(tx, stored, limit=limit, before=before)
    ]
    items += [
        Item(one.at, one.id, "merge", merge_json(one, masked=masked))
        for one in await read_merges(tx, stored.id, limit=MAX_MERGES)
    ]
    items += [
        Item(one.at, one.id, "consent", consent_line_json(one, masked=masked))
        for one in await read_consent_history(tx, stored, limit=limit, before=before)
    ]
    items += _without_history(stored)
    behind = [item for item in items if before is None or (item.at, item.id) < before]
    return sorted(behind, key=lambda item: (item.at, item.id), reverse=True)[:limit]


def _without_history(stored: StoredProfile) -> list[Item]:
    """Consents that were recorded before there was a history."""
    items = []
    for key, record in stored.state.consents.items():
        if record.proof is None and record.at:
            purpose, channel = about(key)
            at = parse_rfc3339(record.at)
            line = Line(
                str(derived_id(CONSENT_ITEMS, purpose, channel)),
                stored.id,
                purpose,
                channel,
                record.said,
                record.said,
                at,
                record.basis,
                None,
                None,
                {},
                at,
            )
            items.append(Item(at, line.id, "consent", consent_line_json(line, masked=False)))
    return items
