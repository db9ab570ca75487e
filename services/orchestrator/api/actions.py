"""`/v1/actions`: what was asked of the channels for a person, and how far it got."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated
from uuid import UUID

from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.api.sight import mask_reason, note_shown
from services.orchestrator.storage import records
from services.orchestrator.storage.records import StoredAction, StoredOutcome
from services.orchestrator.use_cases.absent import absent, person_of
from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["actions"])
FIELDS = tuple(field.name for field in fields(StoredAction))


@dataclass(frozen=True, slots=True)
class ActionView(StoredAction):
    """The action with what was said of it, the newest first."""

    outcomes: list[StoredOutcome]


@router.get("/v1/actions/{action_id}")
async def get_action(
    action_id: UUID,
    engine: Engine,
    principal: Annotated[Principal, requires(Permission.READ)],
) -> ActionView:
    """One action, and what became of it; its decision says why."""
    async with transaction(engine) as tx:
        found = await records.action(tx, action_id)
        if found is None:
            raise await absent(tx, "action", action_id)
        said = await records.outcomes(tx, action_id)
        await _note(tx, principal, [found])
    shown = _view(found, principal)
    return ActionView(**{name: getattr(shown, name) for name in FIELDS}, outcomes=said)


@router.get("/v1/actions")
async def list_actions(
    engine: Engine,
    paging: Paged,
    principal: Annotated[Principal, requires(Permission.READ)],
    profile_id: Annotated[UUID, Query()],
) -> Page[StoredAction]:
    """Actions for a person (merged profiles included), newest first."""
    cursor = paging.after(instant, UUID)
    async with transaction(engine) as tx:
        rows = await records.actions_of_person(
            tx,
            await person_of(tx, profile_id),
            before=records.START if cursor is None else (cursor[0], cursor[1]),
            limit=paging.limit + 1,
        )
        shown, next_cursor = split_page(rows, paging, lambda row: (row.created_at, row.action_id))
        await _note(tx, principal, shown)
    return Page(items=[_view(row, principal) for row in shown], next_cursor=next_cursor)


async def _note(tx: AsyncConnection, principal: Principal, actions: Sequence[StoredAction]) -> None:
    if may_see(principal):
        await note_shown(tx, principal, [(one.profile_id, ["message"]) for one in actions])


def _view(action: StoredAction, principal: Principal) -> StoredAction:
    """The action; without its message for who may not see personal data."""
    if may_see(principal):
        return action
    return replace(action, message=None, reason=mask_reason(action.reason))
