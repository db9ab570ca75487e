"""Erases people: what has to happen at one instant, and what is taken out of the stores after it.

`begin` is one transaction, under the locks of the profiles: from its commit on nobody finds them,
and what is sent late is suppressed. The other steps take their traces out of history, a page at a
time; each may be done twice, so a sweeper that was killed goes on where it stood.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain import erased
from services.profile.domain.absorb import Rules
from services.profile.domain.erased import Names
from services.profile.domain.identity import IdentityRules
from services.profile.domain.profile import (
    ProfileState,
    StoredProfile,
    encode_state,
)
from services.profile.domain.replay import decode_decision, encode_decision
from services.profile.domain.retention import is_anonymous
from services.profile.domain.telling import Told, tell
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import (
    erasing,
    exports,
    mentions,
    privacy_exports,
    privacy_requests,
    privacy_subjects,
    profiles,
    suppression,
)
from services.profile.storage.identifiers import identifier_id
from services.profile.storage.privacy_requests import Request
from services.profile.storage.privacy_subjects import Subject
from services.profile.use_cases.blank_uploads import blank_uploads
from services.profile.use_cases.forget_unpublished import ErasedCause, forget_unpublished
from services.profile.use_cases.load_rules import rules_of_version
from services.profile.use_cases.naming import change_id
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.ids import random_id
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox

TRIES = 3
OWN_PAGE = 200
PAGE = 20_000
"""Touchpoints of everybody that are looked at in one step."""
PROFILES = 2000
"""Other people's profiles that are looked at in one step."""
NIL = "00000000-0000-0000-0000-000000000000"
FEW = 16
"""Up to so many identifiers the database looks for each; above, all bodies are read here."""

Counts = Mapping[str, int]


async def begin(
    tx: AsyncConnection,
    request: Request,
    *,
    secret: bytes,
    rules: Rules,
    topics: Topics,
    counts: PartitionCounts,
) -> Counts:
    """Let the people of a request be gone: profiles, identifiers and what names them are deleted,
    their identifiers are suppressed, and everybody is told. How many rows of each table.

    Profiles that are gone already are passed by, and so is who is known by now, or was seen, where
    `position` is an instant before which nobody's in particular was to be erased. Raises
    Infrastructure when they keep changing.
    """
    locked = await _lock(tx, request.profiles)
    if request.position:
        locked = await _nobodys(tx, locked, request.position, rules)
    family = sorted(locked)
    owned = await erasing.identifiers_of(tx, family)
    for one in locked.values():
        for key, held in one.state.held.items():
            owned.setdefault(key, held.marks is not None and held.marks.shared)
    subjects = [
        Subject(key, None if shared else erased.random_name(random_id().hex), held=True)
        for key, shared in owned.items()
    ]
    ids = [identifier_id(key) for key in owned]
    done = {"identifier": await erasing.remove_identifiers(tx, ids)}
    until, at = await erasing.until(tx)
    assert isinstance(at, datetime)  # noqa: S101 - a timestamp of the driver
    own = [one.key for one in subjects if one.name is not None]
    await privacy_subjects.add(tx, request.id, subjects)
    done["suppression"] = await suppression.put(tx, secret, own, at=at, always=request.suppress)
    done |= await erasing.remove_rows(
        tx, profiles=family, identifiers=[identifier_id(key) for key in own], held=ids
    )
    done["privacy_export"] = await privacy_exports.forget_of(
        tx, family if request.position else [*family, *request.profiles]
    )
    await suppression.note(tx, family, request_id=request.id, at=at, always=request.suppress)
    await privacy_requests.erased(tx, request.id, family=family, at=at, until=until)
    done["outbox"] = await forget_unpublished(tx, family, own, at=at, topics=topics)
    messages = OutboxBuffer(counts)
    for one in locked.values():
        profile_id, message = _farewell(one, rules, rfc3339(at))
        messages.add(topics.profile_updates, profile_id.encode(), message)
    await outbox.append(tx, messages)
    return done


async def _lock(tx: AsyncConnection, asked: Sequence[str]) -> dict[str, StoredProfile]:
    """Lock the active profiles that ids stand for, and all that were merged into them."""
    for _ in range(TRIES):
        now = await profiles.current(tx, asked)
        family = await erasing.family(tx, set(now.values()))
        locked = await profiles.lock(tx, profiles=family)
        heads = set(now.values())
        if (
            all(locked[one].status == "active" for one in heads if one in locked)
            and await erasing.family(tx, heads) == family
        ):
            return locked
    raise Infrastructure("postgres", "the profiles keep being merged")


async def _nobodys(
    tx: AsyncConnection, locked: Mapping[str, StoredProfile], before: str, rules: Rules
) -> dict[str, StoredProfile]:
    """Those that name no person still and were not seen since an instant, with what was merged
    into them."""
    due = [
        one.id
        for one in locked.values()
        if one.status == "active"
        and one.state.last_seen_at < before
        and is_anonymous(one.state.held, rules.identity)
    ]
    return {id_: locked[id_] for id_ in await erasing.family(tx, due) if id_ in locked}


def _farewell(stored: StoredProfile, rules: Rules, at: str) -> Told:
    """The last update of a profile: an empty snapshot, and no identifier."""
    state = ProfileState(at, at, {}, {})
    empty = WorkingProfile(
        StoredProfile(stored.id, "erased", None, stored.seq, 0, state), rules.traits
    )
    cause = ErasedCause(id=change_id(stored.id, stored.seq + 1), at=at)
    return tell(empty, msgspec.json.encode(cause, order="deterministic"), rules.identity)


async def stragglers(tx: AsyncConnection, request: Request, *, secret: bytes) -> Counts:
    """What came at the very last: identifiers beyond what a profile keeps, and suggested links of
    a batch that was just being written."""
    late = await erasing.identifiers_of(tx, request.family)
    own = [key for key, shared in late.items() if not shared]
    subjects = [Subject(key, erased.random_name(random_id().hex), held=True) for key in own]
    await privacy_subjects.add(tx, request.id, subjects)
    if own and request.erased_at is not None:
        await suppression.put(tx, secret, own, at=request.erased_at, always=request.suppress)
    ids = [*map(identifier_id, late)]
    done = await erasing.remove_rows(tx, profiles=request.family, identifiers=[], held=ids)
    done["identifier"] = await erasing.remove_identifiers(tx, ids)
    return done


class _RulesOfTheTime:
    """The rules of identity of each version, read once a step."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._known: dict[int, IdentityRules] = {}

    async def of(self, version: int) -> IdentityRules:
        found = self._known.get(version)
        if found is None:
            found = self._known[version] = await rules_of_version(self._tx, version)
        return found


async def strip_own(tx: AsyncConnection, request: Request) -> tuple[Counts, bool]:
    """Strip the next touchpoints of the people themselves; how many, and whether any was left."""
    subjects = await privacy_subjects.read(tx, request.id)
    anchors = [identifier_id(one.key) for one in subjects if one.held]
    told = await erasing.own_touchpoints(tx, anchors, until=request.evidence_until, limit=OWN_PAGE)
    if not told:
        return {}, False
    rules = _RulesOfTheTime(tx)
    unknown: set[str] = set()
    for one in told:
        unknown |= erased.said_then(one.body, await rules.of(one.rules))
    unknown -= {one.key for one in subjects}
    if unknown:
        others = await erasing.owned(tx, [identifier_id(key) for key in unknown])
        beside = [
            Subject(key, erased.random_name(random_id().hex), held=False)
            for key in sorted(unknown - others)
        ]
        await privacy_subjects.add(tx, request.id, beside)
        subjects += beside
    names = names_of(subjects)
    bodies = {one.id: erased.stripped(one.body, await rules.of(one.rules), names) for one in told}
    await erasing.strip(tx, bodies, reason=erased.ERASED)
    return {"touchpoint": len(told)}, True


def names_of(subjects: Collection[Subject]) -> Names:
    """The random names of those identifiers that have one."""
    return {one.key: one.name for one in subjects if one.name is not None}


async def rename_in_touchpoints(
    tx: AsyncConnection, request: Request, rules: Rules
) -> tuple[Counts, str | None]:
    """Look through the next touchpoints of everybody; how many changed, and the position."""
    names = names_of(await privacy_subjects.read(tx, request.id))
    told, last = await mentions.mentioning(
        tx,
        after=request.position,
        limit=PAGE,
        needles=_needles(names, rules.identity),
        until=request.evidence_until,
    )
    of_the_time = _RulesOfTheTime(tx)
    bodies = {}
    for one in told:
        body = erased.without_names(one.body, await of_the_time.of(one.rules), names)
        if body is not None:
            bodies[one.id] = body
    await mentions.rewrite(tx, bodies)
    return {"touchpoint_of_others": len(bodies)}, last


def _needles(names: Names, rules: IdentityRules) -> list[bytes] | None:
    """What stands in every body that names one of the identifiers; None: read all."""
    if not names:
        return [b"\xff"]
    if len(names) > FEW or any(
        rules.of(key.partition("\0")[0]).normaliser != "plain" for key in names
    ):
        return None
    return [erased.quoted(key) for key in names]


async def rename_in_profiles(tx: AsyncConnection, request: Request) -> tuple[Counts, str | None]:
    """Take the people out of the marks of the identifiers of the next profiles; how many changed,
    and the position."""
    names = names_of(await privacy_subjects.read(tx, request.id))
    needles = [key.encode() for key in names]
    if not needles:
        return {}, None
    found, last = await mentions.profiles_mentioning(
        tx, needles, after=request.position or NIL, limit=PROFILES
    )
    changed = 0
    for stored in (await profiles.lock(tx, profiles=found)).values():
        if erased.rename_marks(stored.state, names):
            await mentions.set_state(tx, stored.id, encode_state(stored.state))
            changed += 1
    return {"profile_of_others": changed}, last


async def is_awaited(tx: AsyncConnection, request: Request) -> bool:
    """Whether an event of before the erasure is on its way still to an audience that may name one
    of the people: under a random name its condition would mean somebody else."""
    names = names_of(await privacy_subjects.read(tx, request.id))
    values = [erased.quoted(key) for key in names]
    return await mentions.is_audience_open(tx, values, until=request.erased_at)


async def rename_in_decisions(tx: AsyncConnection, request: Request, rules: Rules) -> Counts:
    """Take the people out of merges, of what people decided, and of audiences that were reached."""
    subjects = await privacy_subjects.read(tx, request.id)
    names, held = names_of(subjects), {one.key for one in subjects if one.held}
    needles = [key.encode() for key in names]
    ids = [identifier_id(key) for key in names]
    values = [erased.quoted(key) for key in names]
    merges = await mentions.merges_mentioning(tx, ids, [value.decode() for value in values])
    for merge_id, cause in merges:
        fields = msgspec.json.decode(cause, type=dict[str, object])
        for name in ("joined_on", "moved"):
            listed = fields.get(name)
            if isinstance(listed, list):
                fields[name] = erased.rename_identifiers(listed, names)
        await mentions.set_merge(
            tx, merge_id, cause=msgspec.json.encode(fields).decode(), identifiers=ids
        )
    decisions = await mentions.decisions_mentioning(
        tx, request.family, needles, until=request.evidence_until
    )
    for number, decision in decisions:
        changed = erased.rename_decision(decode_decision(decision), names, held)
        await mentions.set_decision(tx, number, encode_decision(changed))
    audiences = await mentions.audiences_mentioning(tx, values)
    for touchpoint_id, condition in audiences:
        await mentions.set_audience(
            tx, touchpoint_id, erased.replace_values(bytes(condition), names)
        )
    return {
        "list_upload": await blank_uploads(tx, names, rules),
        "merge_of_others": len(merges),
        "evidence": len(decisions),
        "audience_job": len(audiences),
        "export": await exports.forget_conditions(tx, [value.decode() for value in values]),
    }
