"""Exports: asked for, carried out by the sweeper page by page, and read again piece by piece.

A job notes the ids of the active profiles for whom the condition holds at the instant they are
looked at. What is known of them is read when the export is fetched, so it is never stored twice.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.definitions import not_in_force
from services.profile.domain.profile import StoredProfile
from services.profile.domain.segment import read_profile_condition
from services.profile.storage import exports, population
from services.profile.storage.exports import NIL, Export
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.read_profile import expire_consents
from shared import clock
from shared.conditions.leaves import references
from shared.conditions.tree import Condition
from shared.errors import Conflict, NotFound, Problem, TooMany, Unprocessable
from shared.ids import time_ordered_id
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction

KIND = "export"
KEPT_DAYS = 7
MOST_OPEN = 20
EXPIRE_SECONDS = 600.0
PAGE = 5_000
PIECE = 100
"""So many profiles are read and encoded at once while others wait for this process."""

EVERYBODY: dict[str, Any] = {"attr": "profile.computed.touchpoints", "op": "gte", "value": 0}


async def request_export(
    tx: AsyncConnection,
    *,
    condition: Any,
    fields: Sequence[str],
    format_: str,
    who: Who,
    live: LiveDefinitions,
) -> Export:
    """Let a sweeper find whom the condition (a document) holds for.

    Raises Unprocessable for a condition that breaks rules, names an unknown segment or asks for
    events that nobody counts, TooMany when a lot is waiting already.
    """
    asked = _read(condition)
    await _check(tx, asked, live)
    if await exports.count_open(tx) >= MOST_OPEN:
        raise TooMany(f"{MOST_OPEN} exports are waiting already", 60)
    made = await exports.insert(
        tx, str(time_ordered_id()), condition=condition, fields=fields, format_=format_, who=who
    )
    after = {"condition": _names_in(asked), "fields": list(fields), "format": format_}
    await audit.append(tx, who=who, kind=KIND, key=made.id, action="create", after=after)
    return made


def _names_in(condition: Condition) -> dict[str, Any]:
    """What a condition asks about, for the audit log: never the values it compares with, which may
    be a person's."""
    found = references(condition)
    asked = {
        "attributes": found.attributes,
        "segments": found.segments,
        "personas": found.personas,
        "consents": [":".join(one) for one in found.consents],
        "events": sorted({one.event for one in found.event_leaves}),
    }
    return {name: list(one) for name, one in asked.items() if one}


async def find_export(tx: AsyncConnection, id_: str) -> Export:
    """Raises NotFound, also when it was too old to be kept."""
    found = await exports.read(tx, id_)
    if found is None:
        raise NotFound(f"there is no export {id_}; they are kept for {KEPT_DAYS} days")
    return found


async def open_export(
    tx: AsyncConnection, id_: str, *, after: str | None, reason: str | None, clear: bool, who: Who
) -> Export:
    """An export that is about to be fetched; that is an entry of the audit log. Raises NotFound,
    and Conflict while it is not done."""
    found = await find_export(tx, id_)
    if found.status != "done":
        raise Conflict(f"the export is {found.status}, not done")
    told = {"fields": found.fields, "people": found.matched, "after": after}
    told |= {"reason": reason, "masked": not clear}
    await audit.append(tx, who=who, kind=KIND, key=id_, action="fetch", after=told)
    return found


async def delete_export(tx: AsyncConnection, id_: str, who: Who) -> None:
    """Forget an export, finished or not. Raises NotFound."""
    found = await find_export(tx, id_)
    await exports.delete(tx, id_)
    before = {"status": found.status, "people": found.matched}
    await audit.append(tx, who=who, kind=KIND, key=id_, action="delete", before=before)


async def pieces(
    engine: AsyncEngine, id_: str, *, after: str | None
) -> AsyncIterator[list[StoredProfile]]:
    """The people of an export behind the id `after`, by id, a few at a time, as they are now. Who
    was merged away or erased meanwhile is left out."""
    position = after or NIL
    while True:
        async with transaction(engine) as tx:
            ids = await exports.part(tx, id_, after=position)
        if not ids:
            return
        for start in range(0, len(ids), PIECE):
            async with transaction(engine) as tx:
                people = await exports.people(tx, ids[start : start + PIECE])
                await expire_consents(tx, people)
            yield people
        position = ids[-1]


class ExportProfiles:
    """Carries exports out; remembers which one it has in hand."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._live = LiveDefinitions()
        self._in_hand: str | None = None
        self._expire_at = 0.0

    async def advance(self, limit: int) -> int:
        """Look at the next PAGE profiles of the oldest open export; 1 if there was one, else 0.

        Raises Infrastructure when PostgreSQL is away.
        """
        async with transaction(self._engine) as tx:
            job = await exports.take(tx)
            if job is None:
                if clock.monotonic_seconds() >= self._expire_at:
                    await exports.expire(tx, KEPT_DAYS)
                    self._expire_at = clock.monotonic_seconds() + EXPIRE_SECONDS
                return 0
            self._in_hand = job.id
            if job.status == "waiting":
                await exports.start(tx, job.id)
            try:
                condition = _read(job.condition)
                await _check(tx, condition, self._live)
            except Unprocessable as error:
                await exports.fail(tx, job.id, error.detail)
                return 1
            page, found = await exports.examine(tx, condition, after=job.position, limit=PAGE)
            await exports.add_part(tx, job.id, found)
            await exports.move(
                tx,
                job.id,
                position=page[-1] if page else job.position,
                examined=len(page),
                matched=len(found),
                done=len(page) < PAGE,
            )
        return 1

    async def give_up(self) -> None:
        """End the export that failed again and again, so that the others have their turn."""
        if self._in_hand is not None:
            async with transaction(self._engine) as tx:
                error = "it failed again and again; the sweeper's log says why"
                await exports.fail(tx, self._in_hand, error)


def _read(document: Any) -> Condition:
    problems: list[Problem] = []
    condition = read_profile_condition(document, problems)
    if condition is None:
        raise Unprocessable("the condition breaks rules", problems)
    return condition


async def _check(tx: AsyncConnection, condition: Condition, live: LiveDefinitions) -> None:
    look = await live.look(tx)
    named = references(condition)
    missing = not_in_force(named.segments, named.personas, look.definitions)
    if missing is not None:
        raise Unprocessable(missing.says, [Problem("condition", missing.rule, missing.says)])
    if not population.is_countable(condition, look.definitions):
        message = (
            "it asks for events that nobody counts yet: publish a segment with this condition, "
            "and export that once its backfill is done"
        )
        raise Unprocessable(message, [Problem("condition", "not_counted", message)])
