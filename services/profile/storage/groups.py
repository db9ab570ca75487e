"""Households, accounts and static lists, and who belongs to them: derived from the profiles.

The row of a member is written only by who holds the lock of the profile; groups and news of them
come after everything else, in order of id. A batch without links sends no statement.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.group_call import GroupCall
from services.profile.domain.groups import (
    Group,
    GroupKind,
    GroupSaying,
    GroupTraits,
    decode_traits,
    encode_traits,
    observe_group,
)
from services.profile.domain.standing import linked_to
from services.profile.domain.working_profile import WorkingProfile

_CREATE = text(
    """
    INSERT INTO linked_group (id, kind, type, value)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:types AS text[]),
                         CAST(:values AS text[]))
    ON CONFLICT DO NOTHING
    """
)
_LEAVE = text(
    """
    DELETE FROM group_member
     WHERE profile_id = ANY (CAST(:profiles AS uuid[]))
       AND (group_id, profile_id) IN (
           SELECT * FROM unnest(CAST(:groups AS uuid[]), CAST(:profiles AS uuid[])))
    """
)
_JOIN = text(
    """
    INSERT INTO group_member (group_id, profile_id)
    SELECT * FROM unnest(CAST(:groups AS uuid[]), CAST(:profiles AS uuid[]))
    ON CONFLICT DO NOTHING
    """
)
_TAKE_OFF = text(
    """
    DELETE FROM list_member
     WHERE profile_id = ANY (CAST(:profiles AS uuid[]))
       AND (list, profile_id) IN (
           SELECT * FROM unnest(CAST(:lists AS text[]), CAST(:profiles AS uuid[])))
    """
)
_PUT_ON = text(
    """
    INSERT INTO list_member (list, profile_id)
    SELECT * FROM unnest(CAST(:lists AS text[]), CAST(:profiles AS uuid[]))
    ON CONFLICT DO NOTHING
    """
)
_NEWS = text("INSERT INTO group_news (group_id) SELECT unnest(CAST(:ids AS uuid[]))")

Pairs = list[tuple[str, str]]


async def write(
    tx: AsyncConnection, profiles: Sequence[WorkingProfile], calls: Sequence[GroupCall] = ()
) -> None:
    """Note what profiles that are locked, or new, joined and left.

    `calls` is what the same transaction will `hear`: all rows of groups are made at once, in order,
    for who makes some first and others later can wait for somebody who does so the other way round.
    """
    moved = [one for one in profiles if linked_to(one.state.standing) != one.links_before]
    if not moved:
        return
    created: set[Group] = {call.group for call in calls}
    news: set[str] = set()
    joined: Pairs = []
    left: Pairs = []
    put_on: Pairs = []
    taken_off: Pairs = []
    for one in moved:
        before, now = one.links_before, linked_to(one.state.standing)
        new, gone = now.groups - before.groups, before.groups - now.groups
        created.update(one.groups[id_] for id_ in new)
        news |= new | gone | one.unheard
        joined += ((id_, one.id) for id_ in new)
        left += ((id_, one.id) for id_ in gone)
        put_on += ((key, one.id) for key in set(now.lists) - set(before.lists))
        taken_off += ((key, one.id) for key in set(before.lists) - set(now.lists))
    await create(tx, created)
    for statement, pairs in ((_LEAVE, left), (_JOIN, joined)):
        if pairs:
            await tx.execute(statement, {"groups": _first(pairs), "profiles": _second(pairs)})
    for statement, pairs in ((_TAKE_OFF, taken_off), (_PUT_ON, put_on)):
        if pairs:
            await tx.execute(statement, {"lists": _first(pairs), "profiles": _second(pairs)})
    await tell_news(tx, news)


def _first(pairs: Pairs) -> list[str]:
    return [one for one, _ in pairs]


def _second(pairs: Pairs) -> list[str]:
    return [other for _, other in pairs]


async def create(tx: AsyncConnection, found: Iterable[Group]) -> None:
    """Have a row for each of the groups."""
    ordered = sorted(found, key=lambda group: group.id)
    if not ordered:
        return
    keys = [group.key.partition("\0") for group in ordered]
    await tx.execute(
        _CREATE,
        {
            "ids": [group.id for group in ordered],
            "kinds": [group.kind for group in ordered],
            "types": [type_ for type_, _, _ in keys],
            "values": [value for _, _, value in keys],
        },
    )


async def tell_news(tx: AsyncConnection, ids: Iterable[str]) -> None:
    """Let the sweeper take what is known of these groups to their members."""
    if ordered := sorted(ids):
        await tx.execute(_NEWS, {"ids": ordered})


_LOCK = text(
    """
    SELECT id::text, traits FROM linked_group WHERE id = ANY (CAST(:ids AS uuid[]))
     ORDER BY id FOR UPDATE
    """
)
_SET_TRAITS = text(
    """
    UPDATE linked_group SET traits = changed.traits, version = version + 1
      FROM unnest(CAST(:ids AS uuid[]), CAST(:traits AS bytea[])) AS changed (id, traits)
     WHERE linked_group.id = changed.id AND linked_group.id = ANY (CAST(:ids AS uuid[]))
    """
)


async def hear(tx: AsyncConnection, calls: Sequence[GroupCall]) -> set[str]:
    """Take in what was said of groups; the ids of those whose traits are others now."""
    if not calls:
        return set()
    said: defaultdict[Group, list[dict[str, GroupSaying]]] = defaultdict(list)
    for call in calls:
        said[call.group].append(call.said)
    await create(tx, said)
    ids = {group.id: group for group in said}
    changed: dict[str, bytes] = {}
    for id_, stored in await tx.execute(_LOCK, {"ids": sorted(ids)}):
        traits = decode_traits(stored)
        news = [observe_group(traits, one) for one in said[ids[id_]]]
        if any(news):
            changed[id_] = encode_traits(traits)
    if changed:
        values = {"ids": list(changed), "traits": list(changed.values())}
        await tx.execute(_SET_TRAITS, values)
        await tell_news(tx, changed)
    return set(changed)


class StoredGroup(NamedTuple):
    """A group, and how many profiles belong to it."""

    id: str
    kind: GroupKind
    type: str
    value: str
    traits: GroupTraits
    version: int
    created_at: datetime
    size: int

    @property
    def group(self) -> Group:
        """By what it was named with."""
        return Group(self.kind, f"{self.type}\0{self.value}")


_SELECT = """
    SELECT id::text, kind, type, value, traits, version, created_at,
           (SELECT count(*) FROM group_member WHERE group_id = linked_group.id) AS size
      FROM linked_group
"""
_READ = text(f"{_SELECT} WHERE id = CAST(:id AS uuid)")
_READ_LOCKED = text(f"{_SELECT} WHERE id = CAST(:id AS uuid) FOR UPDATE OF linked_group")
_READ_MANY = text(f"{_SELECT} WHERE id = ANY (CAST(:ids AS uuid[]))")
_OF_PROFILE = text(
    f"""{_SELECT}
     WHERE id = ANY (ARRAY (SELECT group_id FROM group_member
                             WHERE profile_id = CAST(:profile AS uuid)))
     ORDER BY kind DESC, type, value
    """  # noqa: S608 - constants
)
_MEMBERS = text(
    """
    SELECT profile_id::text FROM group_member
     WHERE group_id = CAST(:id AS uuid) AND profile_id > CAST(:after AS uuid)
     ORDER BY profile_id LIMIT :limit
    """
)
_LIST_MEMBERS = text(
    """
    SELECT profile_id::text FROM list_member
     WHERE list = :id AND profile_id > CAST(:after AS uuid)
     ORDER BY profile_id LIMIT :limit
    """
)


async def read(tx: AsyncConnection, id_: str) -> StoredGroup | None:
    """One group; None when there is none."""
    row = (await tx.execute(_READ, {"id": id_})).one_or_none()
    return None if row is None else _stored(row)


async def lock(tx: AsyncConnection, id_: str) -> StoredGroup | None:
    """The same, and nobody else changes its traits until the transaction ends."""
    row = (await tx.execute(_READ_LOCKED, {"id": id_})).one_or_none()
    return None if row is None else _stored(row)


async def read_many(tx: AsyncConnection, ids: Iterable[str]) -> dict[str, StoredGroup]:
    """Those of the groups that there are, by id."""
    return {row.id: _stored(row) for row in await tx.execute(_READ_MANY, {"ids": sorted(ids)})}


async def of_profile(tx: AsyncConnection, profile_id: str) -> list[StoredGroup]:
    """What an active profile belongs to: the household first."""
    return [_stored(row) for row in await tx.execute(_OF_PROFILE, {"profile": profile_id})]


async def members(tx: AsyncConnection, id_: str, *, after: str, limit: int) -> list[str]:
    """The ids of at most `limit` members behind `after`, in order."""
    values = {"id": id_, "after": after, "limit": limit}
    return [row[0] for row in await tx.execute(_MEMBERS, values)]


async def list_members(tx: AsyncConnection, key: str, *, after: str, limit: int) -> list[str]:
    """The same for a static list."""
    values = {"id": key, "after": after, "limit": limit}
    return [row[0] for row in await tx.execute(_LIST_MEMBERS, values)]


def _stored(row: Row[Any]) -> StoredGroup:
    return StoredGroup(
        row.id,
        row.kind,
        row.type,
        row.value,
        decode_traits(row.traits),
        row.version,
        row.created_at,
        row.size,
    )
