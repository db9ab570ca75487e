"""Split identifiers off a profile into a new one, with every fact that hangs on them."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.divide import (
    Division,
    Sides,
    SplitCause,
    divide,
    new_profile,
    sides_of_split,
    split_consents,
)
from services.profile.domain.profile import StoredProfile, identifier_of
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import cannot_links, listing
from services.profile.use_cases.carry_out import carry_out, lock_active
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.merge_by_hand import KIND
from services.profile.use_cases.naming import split_id
from services.profile.use_cases.undo_merge import Divided, spoken_by
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict, Problem, Unprocessable
from shared.ids import time_ordered_id
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit


async def split_profile(
    tx: AsyncConnection,
    profile_id: str,
    keys: Sequence[str],
    *,
    dry_run: bool,
    why: str,
    who: audit.Who,
    may_replace: Callable[[int | None], None],
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> Divided:
    """The profile and the new one that has the identifiers; with `dry_run` as they would be.

    `may_replace` is given the profile's version. Raises NotFound, Unprocessable for an identifier
    that it does not hold, and Conflict when nothing would be left.
    """
    look = await live.look(tx)
    stored = (await lock_active(tx, [profile_id]))[profile_id]
    may_replace(stored.seq)
    sides = _sides(stored, keys, rules)
    now = await listing.business_time(tx)
    at = rfc3339(now)
    source = WorkingProfile(stored, rules.traits)
    target = new_profile(str(time_ordered_id()), at, rules.traits)
    spoken = await spoken_by(tx, source.state.consents, keys)
    source.state.consents, target.state.consents = split_consents(source.state.consents, spoken)
    cause = SplitCause(
        id=split_id(source.id, source.seq + 1),
        source=source.id,
        target=target.id,
        moved=[identifier_of(key) for key in sides.keys],
        actor=who.name,
        why=why,
        at=at,
    )
    division = _division(cause, sides)
    told = divide(source, target, division, rules.identity, look)
    divided = Divided(source.stored(), target.stored(), sides.keys, sides.apart)
    if dry_run:
        return divided
    await carry_out(
        tx,
        division,
        changed=[source, target],
        moved=dict.fromkeys(sides.keys, target.id),
        told=told,
        rules=rules,
        topics=topics,
        counts=counts,
    )
    await _log(tx, divided, cause, who=who, at=now)
    return divided


def _sides(stored: StoredProfile, keys: Sequence[str], rules: Rules) -> Sides:
    problems = [
        Problem(f"identifiers[{n}]", "not_held", "is no identifier of this profile")
        for n, key in enumerate(keys)
        if key not in stored.state.held
    ]
    if problems:
        raise Unprocessable("only what the profile holds can be split off", problems)
    try:
        return sides_of_split(list(stored.state.held), keys, keys, rules.identity)
    except ValueError as error:
        raise Conflict(f"nothing can be split off: {error}") from None


def _division(cause: SplitCause, sides: Sides) -> Division:
    return Division(
        source=cause.source,
        target=cause.target,
        keys=sides.keys,
        apart=sides.apart,
        cause=msgspec.json.encode(cause, order="deterministic"),
        at=cause.at,
    )


async def _log(
    tx: AsyncConnection, divided: Divided, cause: SplitCause, *, who: audit.Who, at: datetime
) -> None:
    await cannot_links.insert(
        tx,
        divided.apart,
        cause="split",
        cause_id=cause.id,
        why=cause.why,
        actor=who.name,
        at=at,
    )
    await audit.append(
        tx,
        who=who,
        kind=KIND,
        key=cause.source,
        action="split",
        before={"profile": cause.source},
        after={
            "profiles": [cause.source, cause.target],
            "moved": len(divided.moved),
            "why": cause.why,
        },
    )
