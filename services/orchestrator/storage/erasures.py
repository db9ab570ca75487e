"""Forgets profiles: everything that was decided, done or planned for them.

What is left is the number of the last update, so that an old one is known as such, and how many
rows of each table there were.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kafka.messages import Message
from shared.postgres import outbox

TABLES = (
    *("decision", "action", "contact_ledger", "rule_entry", "exit_mark", "timer", "outcome"),
    *("task", "delivery", "held_candidate", "resource_use", "replay_input", "slot_answer"),
    *("journey_run", "simulation_change", "exposure", "experiment_outcome"),
)
"""Every table with rows of a person; `profile_state` keeps its number."""

_FORGET = {
    table: text(
        f"DELETE FROM {table} WHERE profile_id = ANY (CAST(:ids AS uuid[]))"  # noqa: S608 - constants
    )
    for table in TABLES
    if table != "resource_use"
}
_FORGET_LOGS = text(
    """
    DELETE FROM run_log WHERE run IN (
        SELECT id FROM journey_run WHERE profile_id = ANY (CAST(:ids AS uuid[])))
    """
)
_COUNT_ENDED = text(
    """
    INSERT INTO journey_count (journey, node, kind, word, day, n)
    SELECT journey, '', 'ended', 'erased', CAST(clock.now() AT TIME ZONE 'UTC' AS date), count(*)
      FROM journey_run
     WHERE profile_id = ANY (CAST(:ids AS uuid[])) AND status IN ('active', 'waiting')
     GROUP BY journey
    """
)
_REMEMBER = text(
    """
    INSERT INTO erased_action (action_id)
    SELECT action_id FROM action WHERE profile_id = ANY (CAST(:ids AS uuid[]))
        ON CONFLICT DO NOTHING
    """
)
_REMEMBER_DECISIONS = text(
    """
    INSERT INTO erased_decision (decision_id)
    SELECT id FROM decision WHERE profile_id = ANY (CAST(:ids AS uuid[]))
        ON CONFLICT DO NOTHING
    """
)
_IS_ERASED = text(
    """
    SELECT EXISTS (SELECT FROM erased_action WHERE action_id = :id)
        OR EXISTS (SELECT FROM erased_decision WHERE decision_id = :id)
    """
)
_IS_PROFILE_ERASED = text("SELECT erased FROM profile_state WHERE profile_id = :id")
# What is given back in this transaction goes with it: in the order in which everybody does.
_FORGET_USES = text(
    """
    DELETE FROM resource_use WHERE profile_id = ANY (CAST(:ids AS uuid[]))
                               AND action_id <> ALL (CAST(:given_back AS uuid[]))
    """
)
_BLANK = text(
    """
    UPDATE profile_state SET in_flight = 0, snapshot = NULL, erased = true
     WHERE profile_id = ANY (CAST(:ids AS uuid[]))
    """
)
_NOTE = text(
    """
    INSERT INTO erased_profile (profile_id, counts)
    SELECT id, CASE WHEN place = 1 THEN CAST(:counts AS jsonb) ELSE '{}' END
      FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS new (id, place) ORDER BY id
    ON CONFLICT (profile_id) DO UPDATE SET counts = (
        SELECT coalesce(jsonb_object_agg(store, total), '{}')
          FROM (SELECT store, sum(CAST(rows AS bigint)) AS total
                  FROM (SELECT * FROM jsonb_each_text(erased_profile.counts)
                         UNION ALL SELECT * FROM jsonb_each_text(excluded.counts))
                       AS each (store, rows) GROUP BY store) AS added)
    """
)
_READ = text("SELECT counts::text FROM erased_profile WHERE profile_id = :id")


async def forget(
    tx: AsyncConnection,
    told: Collection[str],
    persons: Collection[str],
    given_back: Collection[UUID] = (),
) -> int:
    """Erase what is held of profiles that were `told` to be erased, and of the `persons` they
    stand for, all of which are locked; how many rows. Their runs under way are counted
    as ended. What waits to be published of them is dropped. What the actions of `given_back`
    reserved is left to who gives it back."""
    ids = sorted({*told, *persons})
    await tx.execute(_REMEMBER, {"ids": ids})
    await tx.execute(_REMEMBER_DECISIONS, {"ids": ids})
    uses = await tx.execute(_FORGET_USES, {"ids": ids, "given_back": list(given_back)})
    logs = await tx.execute(_FORGET_LOGS, {"ids": ids})
    await tx.execute(_COUNT_ENDED, {"ids": ids})
    counts = {"resource_use": uses.rowcount, "run_log": logs.rowcount}
    for table, statement in _FORGET.items():
        counts[table] = (await tx.execute(statement, {"ids": ids})).rowcount
    await tx.execute(_BLANK, {"ids": ids})
    keys = {one.encode() for one in ids}

    def keep(_: str, message: Message) -> Message | None:
        return None if message.key in keys else message

    counts["outbox"] = await outbox.revise(tx, sorted(keys), keep)
    values = {"ids": sorted(told), "counts": orjson.dumps(counts).decode()}
    await tx.execute(_NOTE, values)
    return sum(counts.values())


async def is_erased(tx: AsyncConnection, id_: UUID) -> bool:
    """Whether there was such an action or decision, of somebody who was erased."""
    found: bool = (await tx.execute(_IS_ERASED, {"id": id_})).scalar_one()
    return found


async def is_profile_erased(tx: AsyncConnection, profile_id: UUID) -> bool:
    """Whether the profile was erased."""
    return bool((await tx.execute(_IS_PROFILE_ERASED, {"id": profile_id})).scalar())


async def forgotten(tx: AsyncConnection, profile_id: UUID) -> Mapping[str, int] | None:
    """How many rows of each table were erased of a profile; None while it was not."""
    found = (await tx.execute(_READ, {"id": profile_id})).scalar()
    counts: dict[str, int] | None = None if found is None else orjson.loads(found)
    return counts
