"""What a customer allows or refuses, as somebody entered it: recorded, announced and audited."""

from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import consent_list
from services.profile.domain.consent_change import ConsentChange
from services.profile.domain.profile import StoredProfile
from services.profile.storage import listing
from services.profile.storage.consent_history import Proof
from services.profile.use_cases.carry_out import lock_active
from services.profile.use_cases.change_consents import Confirm, change_consents
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, outbox

KIND = "consents"


async def record_consents(
    tx: AsyncConnection,
    profile_id: UUID,
    changes: Sequence[ConsentChange] | Confirm,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
    topics: Topics,
    counts: PartitionCounts,
    rules: Rules,
    live: LiveDefinitions,
    proof: Proof | None = None,
    reason: str = "api",
) -> StoredProfile:
    """The profile with the consents, which hold for the next decision.

    `may_replace` is given the profile's version and raises when another one is meant. Raises what
    `change_consents` raises.
    """
    messages = OutboxBuffer(counts)
    look = await live.look(tx)
    before = (await lock_active(tx, [str(profile_id)]))[str(profile_id)]
    may_replace(before.seq)
    was = msgspec.to_builtins(consent_list(before.state.consents))
    after = await change_consents(
        tx,
        before.id,
        changes,
        at=await listing.business_time(tx),
        actor=who.id,
        topics=topics,
        messages=messages,
        rules=rules,
        look=look,
        proof=proof,
        reason=reason,
    )
    if after.seq != before.seq:
        now = msgspec.to_builtins(consent_list(after.state.consents))
        await audit.append(
            tx, who=who, kind=KIND, key=after.id, action="change", before=was, after=now
        )
    await outbox.append(tx, messages)
    return after
