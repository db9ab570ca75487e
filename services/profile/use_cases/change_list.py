"""Put people on a static list, or take them off it.

Being on a list hangs on an identifier: the one that was named, else the person's strongest. So it
goes with that identifier when people are merged or divided. A list is a segment: whoever comes on
it enters, whoever is taken off leaves, and everything that refers to it is decided again.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, note_due
from services.profile.domain.belonging import all_links, links_of, regroup
from services.profile.domain.definitions import Look
from services.profile.domain.identity import is_blocked, is_type
from services.profile.domain.list_rows import Action, Meant
from services.profile.domain.profile import StoredProfile
from services.profile.domain.standing import linked_to
from services.profile.domain.telling import tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import identifiers, listing, profiles
from services.profile.use_cases import look_again
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import change_id
from shared.contracts.identifier_form import form_of, plain
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Infrastructure, NotFound
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, outbox

MAX_LISTS = 200
"""Lists in force that one profile may be on."""
TRIES = 3

Reason = Literal["unknown", "shared", "blocked", "links_people", "too_many_lists"]


class Asked(NamedTuple):
    """What is to be done about somebody."""

    action: Action
    meant: Meant


class Unresolved(NamedTuple):
    """The place of what was asked, and why nothing could be done about it."""

    place: int
    reason: Reason


class Changed(NamedTuple):
    """How many people came on the list and were taken off it, and what came to nothing."""

    added: int
    removed: int
    unresolved: list[Unresolved]


class _Found(NamedTuple):
    """Somebody who is meant, locked, and the identifier that the list is to hang on."""

    profile_id: str
    anchor: str | None


async def change_list(
    tx: AsyncConnection,
    key: str,
    asked: Sequence[Asked],
    *,
    who: audit.Who,
    backfill: bool,
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> Changed:
    """Carry out what is asked, in order: of two words on one person the later one holds.

    Asking again changes nothing. `backfill` says that it is an import, which triggers only rules
    that want those. Raises NotFound when the list is not in force.
    """
    look = await live.look(tx)
    require_list(look, key)
    resolved, unresolved = _keys(asked, rules)
    found, locked = await _lock(tx, asked, resolved, unresolved)
    people = {id_: WorkingProfile(stored, rules.traits) for id_, stored in locked.items()}
    before = {id_: key in one.standing.lists for id_, one in people.items()}
    touched: set[str] = set()
    for place in sorted(found):
        profile_id, anchor = found[place]
        profile = people[profile_id]
        if asked[place].action == "remove":
            _take_off(profile, key)
        elif not _put_on(profile, key, anchor, rules, look.definitions.lists):
            unresolved[place] = "too_many_lists"
        touched.add(profile_id)
    changed = [one for id_, one in sorted(people.items()) if id_ in touched]
    await _tell(tx, changed, look, backfill=backfill, rules=rules, topics=topics, counts=counts)
    now = {id_: key in one.standing.lists for id_, one in people.items()}
    added = sum(now[id_] and not before[id_] for id_ in people)
    removed = sum(before[id_] and not now[id_] for id_ in people)
    if added or removed:
        after = {"added": added, "removed": removed}
        await audit.append(tx, who=who, kind="list", key=key, action="members", after=after)
    return Changed(added, removed, [Unresolved(*one) for one in sorted(unresolved.items())])


def require_list(look: Look, key: str) -> None:
    """Raises NotFound unless the key is that of a static list in force."""
    if key not in look.definitions.lists:
        raise NotFound(f"There is no static list {key}.")


def stored_form(type_: str, value: str, rules: Rules) -> str | None:
    """The value of an identifier in the form in which it is stored; None when it names nobody."""
    written = plain(value)
    return rules.identity.form(type_, form_of(type_, written) or written)


def _keys(asked: Sequence[Asked], rules: Rules) -> tuple[dict[int, str], dict[int, Reason]]:
    """By their places: the identifiers as they are stored, and those that nobody can have."""
    keys: dict[int, str] = {}
    unresolved: dict[int, Reason] = {}
    for place, (_, (type_, value)) in enumerate(asked):
        if type_ is None:
            continue
        form = stored_form(type_, value, rules)
        if rules.identity.links(type_):
            unresolved[place] = "links_people"
        elif form is None or is_blocked(form) or not is_type(type_) or type_ == RESERVED_TYPE:
            unresolved[place] = "blocked"
        else:
            keys[place] = f"{type_}\0{form}"
    return keys, unresolved


async def _lock(
    tx: AsyncConnection,
    asked: Sequence[Asked],
    keys: dict[int, str],
    unresolved: dict[int, Reason],
) -> tuple[dict[int, _Found], dict[str, StoredProfile]]:
    """Lock everybody who is meant; by the places of what was asked, who that is."""
    by_id = {place: one.meant.value for place, one in enumerate(asked) if one.meant.type is None}
    places = list(keys)
    wanted = [identifiers.identifier_id(keys[place]) for place in places]
    await profiles.set_savepoint(tx)
    for _ in range(TRIES):
        now = await profiles.current(tx, sorted(set(by_id.values()))) if by_id else {}
        locked = await profiles.lock(tx, identifiers=wanted, profiles=sorted(now.values()))
        owners = await identifiers.owners(tx, wanted)
        meant = {*owners.profiles.values(), *now.values()}
        if all(one in locked and locked[one].status == "active" for one in meant):
            break
        await profiles.back_to_savepoint(tx)
    else:
        raise Infrastructure("postgres", "the profiles keep being merged")
    found: dict[int, _Found] = {}
    for n, place in enumerate(places):
        if n in owners.shared:
            unresolved[place] = "shared"
        elif n in owners.profiles:
            found[place] = _Found(owners.profiles[n], keys[place])
        else:
            unresolved[place] = "unknown"
    for place, id_ in by_id.items():
        if id_ in now:
            found[place] = _Found(now[id_], None)
        else:
            unresolved[place] = "unknown"
    return found, {id_: locked[id_] for id_, _ in found.values()}


def _put_on(
    profile: WorkingProfile, key: str, anchor: str | None, rules: Rules, in_force: Collection[str]
) -> bool:
    """Hang it on the identifier; False when the profile is on too many lists in force."""
    on = {one for links in all_links(profile) for one in links.lists}
    if key in on:
        return True
    if len(on & set(in_force)) >= MAX_LISTS:
        return False
    if anchor is None or not profile.holds(anchor):
        anchor = profile.strongest_key(rules.identity)
    links = links_of(profile, anchor)
    links.lists = sorted({*links.lists, key})
    return True


def _take_off(profile: WorkingProfile, key: str) -> None:
    for links in all_links(profile):
        if key in links.lists:
            links.lists = [one for one in links.lists if one != key]


async def _tell(
    tx: AsyncConnection,
    changed: Sequence[WorkingProfile],
    look: Look,
    *,
    backfill: bool,
    rules: Rules,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    at = rfc3339(await listing.business_time(tx))
    messages = OutboxBuffer(counts)
    written = []
    for profile in changed:
        caught_up = catch_up(profile, look, at=at)
        before = linked_to(profile.standing)
        changes, mask = regroup(profile, look.definitions)
        if linked_to(profile.standing) == before and not caught_up:
            continue
        changes += assess(profile, look, mask, at=at)
        note_due(profile, look)
        for news, was_there in ((caught_up, True), (changes, backfill)):
            for id_, message in tell_memberships(
                profile,
                news,
                at=at,
                look=look,
                rules=rules.identity,
                name=change_id,
                backfill=was_there,
            ):
                messages.add(topics.profile_updates, id_.encode(), message)
        written.append(profile)
    await look_again.write(tx, written)
    await outbox.append(tx, messages)
