"""What a person says of a suggestion: accepted, it becomes a merge; rejected, it never returns and
the two are kept apart."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.storage import link_suggestions, listing, profiles
from services.profile.storage.link_suggestions import Suggestion
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.merge_by_hand import Suggested, merge_by_hand
from services.profile.use_cases.set_apart import keep_profiles_apart
from shared.contracts.topics import Topics
from shared.errors import Conflict, NotFound
from shared.kafka.messages import PartitionCounts
from shared.observability import metrics
from shared.postgres import audit
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
    live: LiveDefinitions,
) -> Suggestion:
    """Accept or reject a suggestion, and return it as it is then.

    Saying the same again changes nothing. Raises NotFound, and Conflict when the opposite was said
    before, when a profile of the pair is not there any more or, on accepting, when the two cannot
    be one.
    """
    verdict = "accepted" if accept else "rejected"
    async with transaction(engine) as tx:
        await live.look(tx)  # its lock comes before those of profiles
        suggestion, active = await _lock(tx, suggestion_id)
        if suggestion.status == verdict:
            return suggestion
        if suggestion.status != "open":
            raise Conflict(f"The suggestion was {suggestion.status} by {suggestion.who_name}.")
        if not active:
            raise Conflict("A profile of the pair was merged or erased meanwhile.")
        if accept:
            judged = await accept_link(
                tx, suggestion, who, topics=topics, counts=counts, rules=rules, live=live
            )
        else:
            judged = await reject_link(
                tx, suggestion, who, topics=topics, counts=counts, rules=rules
            )
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
    counts: PartitionCounts,
    rules: Rules,
    live: LiveDefinitions,
) -> Suggestion:
    """Merge the pair of an open suggestion. Both are locked; the profiles were locked first."""
    merged = await merge_by_hand(
        tx,
        (suggestion.profile_a, suggestion.profile_b),
        why="accepted a link suggestion",
        who=who,
        may_replace=lambda _version: None,
        rules=rules,
        live=live,
        topics=topics,
        counts=counts,
        suggested=Suggested(suggestion.id, suggestion.score),
    )
    return await _judge(tx, suggestion, who, verdict="accepted", merge_id=merged.merge_id)


async def reject_link(
    tx: AsyncConnection,
    suggestion: Suggestion,
    who: audit.Who,
    *,
    topics: Topics,
    counts: PartitionCounts,
    rules: Rules,
) -> Suggestion:
    """Keep that the pair of an open suggestion are two people: nothing unites them."""
    await keep_profiles_apart(
        tx,
        (suggestion.profile_a, suggestion.profile_b),
        why="rejected a link suggestion",
        who=who,
        rules=rules,
        topics=topics,
        counts=counts,
    )
    return await _judge(tx, suggestion, who, verdict="rejected", merge_id=None)


async def _judge(
    tx: AsyncConnection,
    suggestion: Suggestion,
    who: audit.Who,
    *,
    verdict: str,
    merge_id: str | None,
) -> Suggestion:
    return await link_suggestions.judge(
        tx,
        suggestion,
        verdict=verdict,
        who=who.id,
        who_name=who.name,
        at=await listing.business_time(tx),
        merge_id=merge_id,
    )


async def _lock(tx: AsyncConnection, suggestion_id: UUID) -> tuple[Suggestion, bool]:
    """The suggestion, locked after its profiles, the order that everybody keeps; and whether both
    of these are active."""
    pair = await link_suggestions.pair_of(tx, suggestion_id)
    if pair is not None:
        locked = await profiles.lock(tx, profiles=sorted(pair))
        suggestion = await link_suggestions.locked(tx, suggestion_id)
        if suggestion is not None:
            active = [one for one in locked.values() if one.status == "active"]
            return suggestion, len(active) == len(pair)
    raise NotFound(f"there is no suggestion {suggestion_id}")
