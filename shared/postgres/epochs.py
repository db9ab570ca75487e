"""The counter that says when a service's configuration in force changed.

Whoever changes what is in force bumps the epoch in the same transaction. Processes poll it and
load again when it moved, so a change is live on each of them within two seconds. A service that
has one has the table `config_epoch` with one row.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import Infrastructure

_EPOCH = text("SELECT epoch FROM config_epoch")
_BUMP = text("UPDATE config_epoch SET epoch = epoch + 1 RETURNING epoch")
_HOLD = text("SELECT epoch FROM config_epoch FOR SHARE")
_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

CREATE = (
    """
    CREATE TABLE config_epoch (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        epoch bigint NOT NULL
    )
    """,
    "INSERT INTO config_epoch (epoch) VALUES (1)",
)
"""What a migration executes to have one."""


async def epoch(tx: AsyncConnection) -> int:
    """The number of the configuration in force; it only grows."""
    return int((await tx.execute(_EPOCH)).scalar_one())


async def bump_epoch(tx: AsyncConnection) -> int:
    """Say that what is in force changes with this transaction; returns the new epoch.

    Takes the one row's lock, so publications commit one after the other.
    """
    return int((await tx.execute(_BUMP)).scalar_one())


async def hold_epoch(tx: AsyncConnection, known: int) -> None:
    """Let nothing else come into force before `tx` is over. Raises Infrastructure when something
    did since the epoch that is known: it will be loaded, and then all of this is done again."""
    if int((await tx.execute(_HOLD)).scalar_one()) > known:
        raise Infrastructure("configuration", "a newer one is not loaded yet")


async def snapshot(tx: AsyncConnection) -> None:
    """Let everything that `tx` reads be as of one instant. It must have executed nothing before,
    and cannot write."""
    await tx.execute(_SNAPSHOT)
