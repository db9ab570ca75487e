"""Takes in what became of an action that was shown to somebody unknown.

Their event belongs to nobody, so no update will ever bring it round: it is noted where it is said.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.history import History
from services.orchestrator.domain.note_outcome import Heard, note_outcome
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import outcomes, slots


async def hear_stranger(tx: AsyncConnection, nobody: UUID, heard: Heard) -> str:
    """Note the outcome, once for each touchpoint, as long as the action is in the name of
    `nobody`; of somebody who was recognised meanwhile it is left to their updates. Returns whose
    the action is."""
    await slots.lock_action(tx, heard.action_id)
    told = (await outcomes.read_told(tx, {heard.action_id}, {heard.touchpoint_id})).get(
        heard.action_id
    )
    if told is None:
        return str(nobody)
    if told.profile_id == str(nobody) and heard.touchpoint_id not in told.known:
        effects = Effects()
        note_outcome(effects, History(), told, heard, kept=False)
        await effect_rows.write(tx, effects)
    return told.profile_id
