"""The configuration that is in force, as stored, and the counter that says when it changed.

Whoever changes what is in force bumps the epoch in the same transaction. The workers poll the
epoch and load again when it moved, so a change is live within two seconds on each of them.
"""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from shared.postgres import drafts

_EPOCH = text("SELECT epoch FROM config_epoch")
_BUMP = text("UPDATE config_epoch SET epoch = epoch + 1 RETURNING epoch")
_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything in force at `epoch`: live rules and policies, present templates and channels."""

    epoch: int
    rules: list[drafts.Version]
    policies: list[drafts.Version]
    templates: list[saved.Saved]
    channels: list[saved.Saved]


async def epoch(tx: AsyncConnection) -> int:
    """The number of the configuration in force; it only grows."""
    return int((await tx.execute(_EPOCH)).scalar_one())


async def bump_epoch(tx: AsyncConnection) -> int:
    """Say that what is in force changes with this transaction; returns the new epoch.

    Takes the one row's lock, so publications commit one after the other.
    """
    return int((await tx.execute(_BUMP)).scalar_one())


async def load(tx: AsyncConnection) -> Stored:
    """Everything in force, as of one instant.

    `tx` must have executed nothing before: it becomes a read-only snapshot.
    """
    await tx.execute(_SNAPSHOT)
    return Stored(
        epoch=await epoch(tx),
        rules=await drafts.live(tx, Kind.RULE),
        policies=await drafts.live(tx, Kind.CONTACT_POLICY),
        templates=await saved.everything(tx, saved.Kind.TEMPLATE),
        channels=await saved.everything(tx, saved.Kind.CHANNEL),
    )
