"""`/v1/actions`: what was asked of the channels for a person, and how far it got."""

from dataclasses import dataclass, fields, replace
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.orchestrator.storage import records
from services.orchestrator.storage.records import StoredAction, StoredOutcome
from shared.access import Permission, is_allowed
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.observability.masking import clean
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
        said = await records.outcomes(tx, action_id)
    if found is None:
        raise NotFound(f"There is no action {action_id}.")
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
        rows = await records.actions_of_profile(
            tx,
            profile_id,
            before=records.START if cursor is None else (cursor[0], cursor[1]),
            limit=paging.limit + 1,
        )
    shown, next_cursor = split_page(rows, paging, lambda row: (row.created_at, row.action_id))
    return Page(items=[_view(row, principal) for row in shown], next_cursor=next_cursor)


def _view(action: StoredAction, principal: Principal) -> StoredAction:
    """The action; without its message for who may not see personal data."""
    if is_allowed(principal.roles, Permission.READ_PERSONAL):
        return action
    reason = None if action.reason is None else clean(action.reason)
    return replace(action, message=None, reason=reason)
