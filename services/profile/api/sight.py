"""Who sees what of people, and the record of it.

A role that may read personal data sees it in clear, everybody else masked. Whatever is shown in
clear to a person's or a system's token is an entry of the audit log, in the transaction that read
it: who, whose, which fields and, if the caller said so, why. Concert's own services are left out:
what they do with a profile is on record as a decision.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.api.masking import personal_fields
from services.profile.api.state import State
from services.profile.domain.trait import TraitsInForce
from shared.access import Permission, is_allowed, roles_with
from shared.errors import Forbidden, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.reveals import is_noted, note_reveals
from shared.postgres.transaction import autocommit, statement, transaction

MAX_REASON = 500

Reader = Annotated[Principal, requires(Permission.READ)]
Masked = Annotated[bool, Query(description="Hide personal data, whatever the token may see.")]
Reveal = Annotated[
    bool,
    Query(
        description="Demand personal data in clear, with a `reason`: 403 for who may not see it, "
        "instead of an answer that is masked."
    ),
]
Reason = Annotated[
    str | None,
    Query(max_length=MAX_REASON, description="Why; it is kept in the audit log."),
]
ReasonHeader = Annotated[
    str | None,
    Header(
        alias="X-Reveal-Reason",
        max_length=MAX_REASON,
        description="`reveal` and `reason` in one, where a URL would be logged.",
    ),
]


@dataclass(frozen=True, slots=True)
class Sight:
    """What of people is shown to one caller in one request. `clear`: not masked; `registry` says
    what traits are."""

    principal: Principal
    registry: TraitsInForce
    clear: bool
    reason: str | None

    @property
    def masked(self) -> bool:
        """Whether personal data is hidden."""
        return not self.clear

    @property
    def is_noted(self) -> bool:
        """Whether what is shown has to be recorded."""
        return self.clear and is_noted(self.principal)

    def reading(self, engine: AsyncEngine) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction for what is read and recorded; where nothing will be, each statement is one
        by itself, which saves two round trips and sees no less."""
        return transaction(engine) if self.is_noted else statement(autocommit(engine))

    async def note(self, tx: AsyncConnection, shown: Mapping[str, Sequence[str]]) -> None:
        """Record what is shown in clear: by profile id, the personal fields of it."""
        if not self.is_noted:
            return
        after = {
            profile_id: {"fields": fields, "reason": self.reason}
            for profile_id, fields in shown.items()
            if fields
        }
        await note_reveals(tx, self.principal, after)

    async def note_profiles(self, tx: AsyncConnection, views: Iterable[dict[str, Any]]) -> None:
        """Record that these profiles of the contract are shown."""
        if self.is_noted:
            shown = {view["id"]: personal_fields(view, self.registry) for view in views}
            await self.note(tx, shown)


async def sight_of(
    principal: Reader,
    state: State,
    masked: Masked = False,
    reveal: Reveal = False,
    reason: Reason = None,
    x_reveal_reason: ReasonHeader = None,
) -> Sight:
    """What the caller sees. Raises Forbidden, and Unprocessable for a reveal without a reason."""
    why = (reason or x_reveal_reason or "").strip() or None
    if reveal or x_reveal_reason is not None:
        if not is_allowed(principal.roles, Permission.READ_PERSONAL):
            needed = " or ".join(roles_with(Permission.READ_PERSONAL))
            raise Forbidden(f"To {Permission.READ_PERSONAL} needs the role {needed}.")
        if why is None:
            problem = Problem("reason", "required", "say why personal data is to be shown")
            raise Unprocessable("a reveal needs a reason", [problem])
    return Sight(principal, state.rules.registry, may_see(principal, asked_masked=masked), why)


def plain_sight(principal: Principal, registry: TraitsInForce) -> Sight:
    """What a caller sees who said nothing about it."""
    return Sight(principal, registry, may_see(principal), None)


Sees = Annotated[Sight, Depends(sight_of)]
"""A handler's parameter `sees: Sees`; the route demands the permission to read."""
