"""Say by hand what a household or an account is, and who belongs to it.

A word by hand is as good as an event's: the last one holds. It hangs on the person's strongest
identifier, so it goes where that goes when the person is divided.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, note_due
from services.profile.domain.belonging import all_links, links_of, regroup
from services.profile.domain.definitions import Look
from services.profile.domain.group_call import GroupCall
from services.profile.domain.groups import (
    FACTS_OF_ITS_OWN,
    MAX_GROUP_TRAITS,
    Group,
    GroupKind,
    GroupSaying,
    Links,
    latest,
    say,
    shown_group_traits,
)
from services.profile.domain.profile import StoredProfile
from services.profile.domain.standing import linked_to
from services.profile.domain.survivorship import MAX_NAME, MAX_VALUE_BYTES, canonical
from services.profile.domain.telling import tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import groups, listing
from services.profile.storage.groups import StoredGroup
from services.profile.use_cases import look_again
from services.profile.use_cases.carry_out import lock_active
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import change_id
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.topics import Topics
from shared.errors import NotFound, Problem, Unprocessable
from shared.ids import time_ordered_id
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, outbox

MayReplace = Callable[[int | None], None]
MILLISECOND = timedelta(milliseconds=1)


async def read_group(tx: AsyncConnection, kind: GroupKind, group_id: str) -> StoredGroup:
    """Raises NotFound."""
    found = await groups.read(tx, group_id)
    if found is None or found.kind != kind:
        raise NotFound(f"there is no {kind} {group_id}")
    return found


async def say_of_group(
    tx: AsyncConnection,
    group: Group,
    traits: Mapping[str, Any],
    *,
    who: audit.Who,
    may_replace: MayReplace,
) -> StoredGroup:
    """The group, there from now on, with these traits; None takes one away. Traits that are not
    named stay. `may_replace` is given the group's version, None when it is not there yet. Raises
    Unprocessable for a trait that cannot be kept."""
    before = await groups.lock(tx, group.id)
    may_replace(None if before is None else before.version)
    at, said_by = rfc3339(await listing.business_time(tx)), str(time_ordered_id())
    said = {name: GroupSaying(at, said_by, canonical(value)) for name, value in traits.items()}
    _check(before, said)
    await groups.hear(tx, [GroupCall(group, said)])
    after = await groups.read(tx, group.id)
    assert after is not None  # noqa: S101 - it was just made
    if before is None or before.version != after.version:
        await audit.append(
            tx,
            who=who,
            kind=group.kind,
            key=group.id,
            action="create" if before is None else "change",
            before=None if before is None else sorted(shown_group_traits(before.traits)),
            after=sorted(shown_group_traits(after.traits)),
        )
    return after


def _check(before: StoredGroup | None, said: Mapping[str, GroupSaying]) -> None:
    problems = []
    for name, word in said.items():
        path = f"traits.{name[:100]}"
        if not 0 < len(name) <= MAX_NAME:
            rule = f"a name has 1 to {MAX_NAME} characters"
            problems.append(Problem(path, "max_length", rule))
        if len(word.value) > MAX_VALUE_BYTES:
            rule = f"a value takes at most {MAX_VALUE_BYTES} bytes as JSON"
            problems.append(Problem(path, "max_length", rule))
        if name in FACTS_OF_ITS_OWN:
            problems.append(Problem(path, "reserved", f"every group has its own {name}"))
    known = set() if before is None else set(before.traits)
    if len(known | set(said)) > MAX_GROUP_TRAITS:
        rule = f"a group has at most {MAX_GROUP_TRAITS} traits"
        problems.append(Problem("traits", "too_many", rule))
    if problems:
        raise Unprocessable("the group breaks rules", problems)


async def link_by_hand(
    tx: AsyncConnection,
    kind: GroupKind,
    group_id: str,
    profile_id: str,
    *,
    linked: bool,
    who: audit.Who,
    may_replace: MayReplace,
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> StoredProfile:
    """The profile, which belongs to the group from now on, or (`linked` False) does not.

    What is so already is no change. `may_replace` is given the profile's version. Raises NotFound.
    """
    look = await live.look(tx)
    group = await read_group(tx, kind, group_id)
    stored = (await lock_active(tx, [profile_id]))[profile_id]
    may_replace(stored.seq)
    profile = WorkingProfile(stored, rules.traits)
    if (group.id in linked_to(profile.standing).groups) is linked:
        return stored
    now = await listing.business_time(tx)
    _say(profile, group.group, _after(all_links(profile), kind, now), linked=linked, rules=rules)
    before = stored.seq
    messages = OutboxBuffer(counts)
    for id_, message in _told(profile, look, rfc3339(now), rules):
        messages.add(topics.profile_updates, id_.encode(), message)
    await look_again.write(tx, [profile])
    await outbox.append(tx, messages)
    await audit.append(
        tx,
        who=who,
        kind=kind,
        key=group.id,
        action="link" if linked else "unlink",
        before={"profile": profile.id, "version": before},
        after={"profile": profile.id, "version": profile.seq},
    )
    return profile.stored()


def _after(links: Sequence[Links], kind: GroupKind, now: datetime) -> str:
    """An instant after every word so far, so that this one holds: some event may be of the
    future."""
    last = latest(links, kind)
    return rfc3339(max(now, parse_rfc3339(last) + MILLISECOND) if last else now)


def _say(profile: WorkingProfile, group: Group, at: str, *, linked: bool, rules: Rules) -> None:
    """Hang the word on the strongest identifier; that it belongs there no more also on every one
    that says something else, so that no side of a split goes back."""
    anchors = {profile.strongest_key(rules.identity)}
    if not linked:
        for key, held in profile.state.held.items():
            links = held.links
            if links is not None and (
                links.household is not None
                if group.kind == "household"
                else group.key in links.accounts
            ):
                anchors.add(key)
    for anchor in sorted(anchors):
        say(links_of(profile, anchor), group, at, linked=linked)


def _told(profile: WorkingProfile, look: Look, at: str, rules: Rules) -> list[tuple[str, bytes]]:
    changes = catch_up(profile, look, at=at)
    changed, mask = regroup(profile, look.definitions)
    changes += changed
    changes += assess(profile, look, mask, at=at)
    note_due(profile, look)
    return tell_memberships(
        profile, changes, at=at, look=look, rules=rules.identity, name=change_id
    )
