"""Correct or remove traits because the person they are about says that they are wrong."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, concerned, note_due
from services.profile.domain.profile import StoredProfile
from services.profile.domain.rectify import Rectification, RectifiedCause, rectify
from services.profile.domain.survivorship import (
    CONTEXT_TIMEZONE,
    MAX_NAME,
    MAX_VALUE_BYTES,
    canonical,
)
from services.profile.domain.telling import tell, tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import listing
from services.profile.use_cases.carry_out import carry_out, lock_active
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import change_id
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Problem, Unprocessable
from shared.kafka.messages import PartitionCounts
from shared.postgres.audit import Who


async def rectify_traits(
    tx: AsyncConnection,
    profile_id: str,
    traits: Mapping[str, Any],
    *,
    who: Who,
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> StoredProfile:
    """The profile with the corrected traits; None removes one.

    What anybody said of them before is forgotten, and the correction is kept as evidence. Raises
    NotFound, and Unprocessable for a name or a value that no trait may have.
    """
    values = _values(traits)
    look = await live.look(tx)
    stored = (await lock_active(tx, [profile_id]))[profile_id]
    profile = WorkingProfile(stored, rules.traits)
    at = rfc3339(await listing.business_time(tx))
    correction = Rectification(
        id=change_id(profile.id, profile.seq + 1),
        profile=profile.id,
        anchor=profile.strongest_key(rules.identity),
        values=values,
        at=at,
    )
    memberships = catch_up(profile, look, at=at)
    rectify(profile, correction, look.definitions)
    memberships += assess(profile, look, concerned(values, look.definitions), at=at)
    cause = RectifiedCause(id=correction.id, at=at, actor=who.id, traits=sorted(values))
    encoded = msgspec.json.encode(cause, order="deterministic")
    told = [tell(profile, encoded, rules.identity, look=look)]
    told += tell_memberships(
        profile, memberships, at=at, look=look, rules=rules.identity, name=change_id
    )
    note_due(profile, look)
    await carry_out(
        tx,
        correction,
        changed=[profile],
        moved={},
        told=told,
        rules=rules,
        topics=topics,
        counts=counts,
    )
    return profile.stored()


def _values(traits: Mapping[str, Any]) -> dict[str, bytes]:
    values = {name: canonical(value) for name, value in traits.items()}
    problems = [
        Problem(f"traits.{name[:MAX_NAME]}", "too_large", "the name or the value is too long")
        for name, value in values.items()
        if len(name) > MAX_NAME or len(value) > MAX_VALUE_BYTES
    ]
    if CONTEXT_TIMEZONE in values:
        problems.append(Problem(f"traits.{CONTEXT_TIMEZONE}", "reserved", "is no trait"))
    if problems:
        raise Unprocessable("these can be no traits", problems)
    return values
