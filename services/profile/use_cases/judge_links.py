"""What a person says of a suggestion: accepted, it becomes a merge; rejected, it never returns."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import HandMergeCause
from services.profile.storage import link_suggestions, listing, profiles
from services.profile.storage.link_suggestions import Suggestion
from services.profile.use_cases.merge_by_hand import merge_by_hand
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict, NotFound
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import audit, outbox
from shared.postgres.transaction import transaction

KIND = "link_suggestion"


async def judge_link(
    engine: AsyncEngine,
    suggestion_id: UUID,
    *,
    accept: bool,
    who: audit.Who,
    topics: Topics,
    counts: PartitionCounts,
    rules: Rules,
) -> Suggestion:
    """Accept or reject a suggestion, and return it as it is then.

    Saying the same again changes nothing. Raises NotFound, and Conflict when the opposite was said
    before or, on accepting, when the two profiles cannot be one.
    """
    messages = OutboxBuffer(counts)
    verdict = "accepted" if accept else "rejected"
    async with transaction(engine) as tx:
        suggestion = await _lock(tx, suggestion_id)
        if suggestion.status == verdict:
            return suggestion
        if suggestion.status != "open":
            raise Conflict(f"The suggestion was {suggestion.status} by {suggestion.who_name}.")
        if accept:
            judged = await accept_link(
                tx, suggestion, who, topics=topics, messages=messages, rules=rules
            )
        else:
            judged = await reject_link(tx, suggestion, who)
        await audit.append(
            tx,
            who=who,
            kind=KIND,
            key=judged.id,
            action=verdict,
            before={"status": "open"},
            after={
                "status": verdict,
                "profile_a": judged.profile_a,
                "profile_b": judged.profile_b,
                "score": judged.score,
                "merge_id": judged.merge_id,
            },
        )
        await outbox.append(tx, messages)
    metrics.LINK_VERDICTS.labels(verdict=verdict).inc()
    if accept:
        metrics.MERGES.inc()
    return judged


async def accept_link(
    tx: AsyncConnection,
    suggestion: Suggestion,
    who: audit.Who,
    *,
    topics: Topics,
    messages: OutboxBuffer,
    rules: Rules,
) -> Suggestion:
    """Merge the pair of an open suggestion. Its profiles are locked, then the suggestion."""
    at = await listing.business_time(tx)

    def cause(merge_id: str, winner: str, loser: str) -> bytes:
        return msgspec.json.encode(
            HandMergeCause(
                id=merge_id,
                winner=winner,
                loser=loser,
                suggestion_id=suggestion.id,
                score=suggestion.score,
                actor=who.id,
                at=rfc3339(at),
            ),
            order="deterministic",
        )

    merge = await merge_by_hand(
        tx,
        (suggestion.profile_a, suggestion.profile_b),
        cause,
        reason_id=suggestion.id,
        at=at,
        rules=rules,
        topics=topics,
        messages=messages,
    )
    return await link_suggestions.judge(
        tx,
        suggestion,
        verdict="accepted",
        who=who.id,
        who_name=who.name,
        at=at,
        merge_id=merge.id,
    )


async def reject_link(tx: AsyncConnection, suggestion: Suggestion, who: audit.Who) -> Suggestion:
    """Keep that the pair of an open suggestion are two people."""
    return await link_suggestions.judge(
        tx,
        suggestion,
        verdict="rejected",
        who=who.id,
        who_name=who.name,
        at=await listing.business_time(tx),
        merge_id=None,
    )


async def _lock(tx: AsyncConnection, suggestion_id: UUID) -> Suggestion:
    """The suggestion, locked after its profiles: the order that everybody keeps."""
    pair = await link_suggestions.pair_of(tx, suggestion_id)
    if pair is not None:
        await profiles.lock(tx, profiles=sorted(pair))
        suggestion = await link_suggestions.locked(tx, suggestion_id)
        if suggestion is not None:
            return suggestion
    raise NotFound(f"there is no suggestion {suggestion_id}")
