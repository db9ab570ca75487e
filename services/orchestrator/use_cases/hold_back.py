"""Asks once more, before a try, whether a claimed delivery may go out now.

A retry, a limit or a channel that was switched off may bring it into the night of its person, or
behind the end of a consent. Retractions and tests are not asked: they are no contact.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.delivering import Claimed, Settled
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.try_gates import Addressed, held_back
from services.orchestrator.storage import delivery_work
from shared.contracts.action import action_decoder
from shared.contracts.profile_update import snapshot_decoder


async def hold_back(
    tx: AsyncConnection, claimed: Sequence[Claimed], policy: JointPolicy, at: datetime
) -> dict[Claimed, Settled]:
    """Let those of the claimed wait, or end, that must not be tried now; where these stand. They
    have to be claimed in this transaction, so nobody else has written of them."""
    asked = [one for one in claimed if one.kind == "send" and not one.test]
    if not asked:
        return {}
    found = await delivery_work.addressed(tx, [one.action_id for one in asked])
    held: dict[Claimed, Settled] = {}
    for one in asked:
        topic, snapshot = found[one.action_id]
        profile = None if snapshot is None else snapshot_decoder.decode(snapshot)
        category = action_decoder.decode(one.body).category
        end = held_back(Addressed(one.channel, category, topic, profile), policy, at)
        if end is not None:
            await delivery_work.settled(tx, one, end, reached=False)
            held[one] = end
    return held
