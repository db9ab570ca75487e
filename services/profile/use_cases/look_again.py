"""Look at locked profiles by what is in force now: decide everything again, from their history
where they lack some of it. For sweeps and background jobs, and after a merge or a split."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import (
    Change,
    epoch_of,
    look_at_all,
    note_due,
)
from services.profile.domain.belonging import hear_of_group, unheard_groups
from services.profile.domain.definitions import Look
from services.profile.domain.groups import facts_of_group
from services.profile.domain.history import Happened, forget, lacking, recount
from services.profile.domain.telling import tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import deadlines, groups, profiles, touchpoints
from services.profile.storage.identifiers import identifier_id
from services.profile.use_cases.naming import change_id
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer


async def look_again(
    tx: AsyncConnection,
    locked: Sequence[WorkingProfile],
    look: Look,
    *,
    at: str,
    backfill: bool,
    rules: Rules,
    topics: Topics,
    messages: OutboxBuffer,
) -> list[WorkingProfile]:
    """Those whose membership or persona changed, or of whose groups something was not known yet;
    their updates are added to `messages`.

    `at` (RFC 3339) is when the changes are said to have happened. Nothing is written yet.
    """
    await read_history(tx, locked, look)
    heard = await _hear_of_groups(tx, locked, look)
    changed = []
    for profile in locked:
        changes = heard.get(profile.id, []) + look_at_all(profile, look, at=at)
        note_due(profile, look)
        for id_, message in tell_memberships(
            profile,
            changes,
            at=at,
            look=look,
            rules=rules.identity,
            name=change_id,
            backfill=backfill,
        ):
            messages.add(topics.profile_updates, id_.encode(), message)
        if changes:
            changed.append(profile)
    return changed


async def _hear_of_groups(
    tx: AsyncConnection, locked: Sequence[WorkingProfile], look: Look
) -> dict[str, list[Change]]:
    """Let those who came to a group hear of it before they are decided; what changed by that."""
    unheard = {id_ for profile in locked for id_ in unheard_groups(profile)}
    if not unheard:
        return {}
    found = await groups.read_many(tx, unheard)
    changes: dict[str, list[Change]] = {}
    for profile in locked:
        for id_ in sorted(unheard_groups(profile) & found.keys()):
            group = found[id_]
            facts = facts_of_group(id_, group.size, group.traits)
            news, _ = hear_of_group(profile, group.kind, facts, look.definitions)
            changes.setdefault(profile.id, []).extend(news)
    return changes


async def write(tx: AsyncConnection, looked_at: Sequence[WorkingProfile]) -> None:
    """Store what was found, with the instants at which time alone can change it."""
    await profiles.write(tx, looked_at)
    await deadlines.write(tx, looked_at)
    await groups.write(tx, looked_at)


async def read_history(tx: AsyncConnection, locked: Sequence[WorkingProfile], look: Look) -> None:
    """Count again what happened in the streams that a profile lacks."""
    definitions = look.definitions
    lacks = {profile.id: lacking(definitions, epoch_of(profile, definitions)) for profile in locked}
    anchors = {
        identifier_id(key): (profile, key)
        for profile in locked
        if any(lacks[profile.id])
        for key, held in profile.state.held.items()
        if held.sums is not None
    }
    for profile in locked:
        if any(lacks[profile.id]):
            forget(profile, lacks[profile.id], definitions)
    if not anchors:
        return
    types = {type_ for one in lacks.values() for type_ in one.types}
    declared = any(one.declared for one in lacks.values())
    async for anchor, body in touchpoints.history(tx, list(anchors)):
        profile, key = anchors[anchor]
        happened = Happened.read(body)
        if declared or happened.type in types:
            recount(profile, lacks[profile.id], [(key, happened)])
