"""The record of who was shown personal data in clear.

Every service notes it in the same words, in the transaction that read what is shown. Concert's own
services are left out: what they do with a person is on record elsewhere.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access import Role
from shared.http.auth import Principal
from shared.postgres import audit

KIND, ACTION = "reveal", "reveal"


def is_noted(principal: Principal) -> bool:
    """Whether what the caller is shown in clear has to be recorded."""
    return principal.roles != {Role.SERVICE}


async def note_reveals(
    tx: AsyncConnection, principal: Principal, shown: Mapping[str, Mapping[str, Any]]
) -> None:
    """Record what is shown in clear, in one statement: whose (an id), and what of it."""
    if shown and is_noted(principal):
        await audit.append_each(tx, who=principal.who, kind=KIND, action=ACTION, after=shown)
