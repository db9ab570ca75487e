"""The configuration that is in force, as stored."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from shared.postgres import drafts
from shared.postgres.epochs import epoch, snapshot


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything in force at `epoch`: live rules and policies, present templates and channels."""

    epoch: int
    rules: list[drafts.Version]
    policies: list[drafts.Version]
    templates: list[saved.Saved]
    channels: list[saved.Saved]


async def load(tx: AsyncConnection) -> Stored:
    """Everything in force, as of one instant.

    `tx` must have executed nothing before: it becomes a read-only snapshot.
    """
    await snapshot(tx)
    return Stored(
        epoch=await epoch(tx),
        rules=await drafts.live(tx, Kind.RULE),
        policies=await drafts.live(tx, Kind.CONTACT_POLICY),
        templates=await saved.everything(tx, saved.Kind.TEMPLATE),
        channels=await saved.everything(tx, saved.Kind.CHANNEL),
    )
