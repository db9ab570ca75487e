"""`/v1/profiles/{id}/timeline`: what happened to a person, from three sources, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, NamedTuple, get_args
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import AwareDatetime, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.api.answers import json_answer
from services.profile.api.schemas import TimelineItem
from services.profile.api.sight import Sees
from services.profile.api.state import State
from services.profile.api.views import (
    Json,
    consent_line_json,
    merge_json,
    personal_in_line,
    touchpoint_json,
)
from services.profile.domain.consent import about
from services.profile.domain.profile import StoredProfile
from services.profile.domain.trait import TraitsInForce
from services.profile.storage.consent_history import Line
from services.profile.storage.touchpoints import BEGINNING, END, Only
from services.profile.use_cases.read_profile import (
    read_consent_history,
    read_merges,
    read_profile,
    read_timeline,
)
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.ids import derived_id

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

Kind = Literal["touchpoint", "merge", "consent"]
Kinds = Annotated[list[Kind], Query(max_length=10, description="Only items of these kinds.")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Types = Annotated[list[Name], Query(max_length=20, description="Only touchpoints of these types.")]
Channels = Annotated[list[Name], Query(max_length=20, description="Only touchpoints of these.")]
Sources = Annotated[list[Name], Query(max_length=20, description="Only touchpoints of these.")]
From = Annotated[AwareDatetime | None, Query(alias="from", description="At this instant or later.")]
To = Annotated[AwareDatetime | None, Query(alias="to", description="Before this instant.")]


class Asked(NamedTuple):
    """Which items are wanted."""

    kinds: frozenset[str]
    only: Only

    def includes(self, item: Item) -> bool:
        """Whether an item that is no touchpoint is wanted."""
        return (
            item.kind in self.kinds
            and not self.only.names_some
            and self.only.since <= item.at < self.only.until
        )


async def _asked(
    kind: Kinds = [],  # noqa: B006 - read only
    type: Types = [],  # noqa: A002, B006 - the name in the URL, read only
    channel: Channels = [],  # noqa: B006 - read only
    source: Sources = [],  # noqa: B006 - read only
    since: From = None,
    until: To = None,
) -> Asked:
    only = Only(type, channel, source, since=since or BEGINNING, until=until or END)
    return Asked(frozenset(kind or get_args(Kind)), only)


@router.get("/v1/profiles/{profile_id}/timeline", response_model=Page[TimelineItem])
async def list_timeline(
    profile_id: UUID,
    engine: Engine,
    state: State,
    paging: Paged,
    sees: Sees,
    asked: Annotated[Asked, Depends(_asked)],
) -> Response:
    """Touchpoints, merges and what was said about the consents of a person, newest first.

    With a type, a channel or a source: touchpoints alone.
    """
    cursor = paging.after(instant, UUID)
    before = None if cursor is None else (cursor[0], str(cursor[1]))
    async with sees.reading(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        found = await _items(
            tx,
            stored,
            asked,
            before=before,
            limit=paging.limit + 1,
            registry=state.rules.registry,
            masked=sees.masked,
        )
        shown, next_cursor = split_page(found, paging, lambda item: (item.at, item.id))
        await sees.note(tx, {stored.id: [f"timeline.{kind}" for kind in _personal(shown)]})
    items = [
        {"kind": item.kind, "at": rfc3339(item.at), "id": item.id, item.kind: item.content}
        for item in shown
    ]
    return json_answer({"items": items, "next_cursor": next_cursor})


def _personal(items: Sequence[Item]) -> list[str]:
    """The kinds of items that hold personal data."""
    return sorted(
        {item.kind for item in items if item.kind != "consent" or personal_in_line(item.content)}
    )


async def _items(
    tx: AsyncConnection,
    stored: StoredProfile,
    asked: Asked,
    *,
    before: tuple[datetime, str] | None,
    limit: int,
    registry: TraitsInForce,
    masked: bool,
) -> list[Item]:
    """At most `limit` items behind `before`, newest first."""
    items: list[Item] = []
    if "touchpoint" in asked.kinds:
        items += [
            Item(
                one.occurred_at, one.id, "touchpoint", touchpoint_json(one, registry, masked=masked)
            )
            for one in await read_timeline(tx, stored, limit=limit, before=before, only=asked.only)
        ]
    others: list[Item] = []
    if "merge" in asked.kinds and not asked.only.names_some:
        others += [
            Item(one.at, one.id, "merge", merge_json(one, masked=masked))
            for one in await read_merges(tx, stored.id, limit=MAX_MERGES)
        ]
    if "consent" in asked.kinds and not asked.only.names_some:
        others += [
            Item(one.at, one.id, "consent", consent_line_json(one, masked=masked))
            for one in await read_consent_history(tx, stored, limit=limit, before=before)
        ]
        others += _without_history(stored)
    items += [
        item
        for item in others
        if asked.includes(item) and (before is None or (item.at, item.id) < before)
    ]
    return sorted(items, key=lambda item: (item.at, item.id), reverse=True)[:limit]


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
