"""The answers that are kept for slots: one row for each slot of a person, or of a keyed hash.

Read without a lock; who keeps another answer names the one that it replaces, so that of those who
ask at once one is first and the others are given the same.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.slot import Kept, said_decoder, said_encoder
from shared.postgres.together import Part
from shared.postgres.transaction import Tx

_READ = text(
    """
    SELECT clock.now() AS now, kept.*
      FROM (VALUES (1)) AS one (row) LEFT JOIN (
           SELECT profile_id::text, decision_id, action_id, rule, version, epoch, at, expires_at,
                  body
             FROM slot_answer
            WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND slot = :slot) AS kept ON true
    """
)
_PUT = text(
    """
    INSERT INTO slot_answer AS s (profile_id, slot, decision_id, action_id, rule, version, epoch,
                                  at, expires_at, body)
    VALUES (CAST(:profile_id AS uuid), :slot, :decision_id, :action_id, :rule, :version, :epoch,
            :at, :expires_at, :body)
        ON CONFLICT (profile_id, slot) DO UPDATE
       SET decision_id = excluded.decision_id, action_id = excluded.action_id,
           rule = excluded.rule, version = excluded.version, epoch = excluded.epoch,
           at = excluded.at, expires_at = excluded.expires_at, body = excluded.body
     WHERE s.decision_id = CAST(:before AS uuid)
    RETURNING s.decision_id
    """
)
_FORGET = text("DELETE FROM slot_answer WHERE profile_id = ANY(CAST(:ids AS uuid[]))")
_FORGET_ACTIONS = text("DELETE FROM slot_answer WHERE action_id = ANY(CAST(:ids AS uuid[]))")
_LOCK_SLOT = text("SELECT FROM slot_answer WHERE action_id = :action_id FOR UPDATE")
_LOCK_ACTION = text("SELECT FROM action WHERE action_id = :action_id FOR UPDATE")
_MAKE_ROOM = text(
    "DELETE FROM slot_answer WHERE profile_id = CAST(:profile_id AS uuid) AND slot = :slot"
)
# What was done for somebody unknown is from now on theirs whom the identifier turned out to be.
_ADOPT = text(
    """
    WITH kept AS (
        UPDATE slot_answer SET profile_id = CAST(:profile_id AS uuid)
         WHERE profile_id = CAST(:owner AS uuid) AND slot = :slot
        RETURNING action_id, decision_id
    ), acted AS (
        UPDATE action SET profile_id = CAST(:profile_id AS uuid)
         WHERE action_id IN (SELECT action_id FROM kept)
        RETURNING old.profile_id AS before
    ), decided AS (
        UPDATE decision SET profile_id = CAST(:profile_id AS uuid)
         WHERE id IN (SELECT decision_id FROM kept)
    ), told AS (
        UPDATE outcome SET profile_id = CAST(:profile_id AS uuid)
         WHERE action_id IN (SELECT action_id FROM kept)
    ), took AS (
        UPDATE resource_use SET profile_id = CAST(:profile_id AS uuid)
         WHERE action_id IN (SELECT action_id FROM kept)
    ), entered AS (
        UPDATE rule_entry AS e SET profile_id = CAST(:profile_id AS uuid)
         WHERE e.profile_id IN (SELECT before FROM acted) AND NOT EXISTS (
               SELECT FROM rule_entry AS own
                WHERE own.profile_id = CAST(:profile_id AS uuid)
                  AND (own.rule, own.entry_key) = (e.rule, e.entry_key))
    )
    UPDATE contact_ledger SET profile_id = CAST(:profile_id AS uuid)
     WHERE action_id IN (SELECT action_id FROM kept)
    """
)
_EXPIRED = text(
    """
    DELETE FROM slot_answer WHERE ctid = ANY (ARRAY (
        SELECT ctid FROM slot_answer WHERE expires_at <= (SELECT clock.now())
         ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED))
    """
)


class Found(NamedTuple):
    """The instant of the business clock, and what is kept, by the id it is kept under."""

    at: datetime
    kept: dict[str, Kept]


async def read(tx: Tx, ids: Sequence[str], slot: str) -> Found:
    """What is kept for a slot under these ids; what has expired is too."""
    rows = (await tx.execute(_READ, {"ids": ids, "slot": slot})).all()
    kept = [_kept(row) for row in rows if row.profile_id is not None]
    return Found(rows[0].now, {one.profile_id: one for one in kept})


def putting(slot: str, kept: Kept, before: Kept | None) -> Part:
    """Keep an answer in place of the one before; no row if there is another one by now, which
    somebody who asked at the same time was given."""
    values = {
        "profile_id": kept.profile_id,
        "slot": slot,
        "decision_id": kept.decision_id,
        "action_id": kept.action_id,
        "rule": kept.rule,
        "version": kept.version,
        "epoch": kept.epoch,
        "at": kept.at,
        "expires_at": kept.expires_at,
        "body": said_encoder.encode(kept.said),
        "before": None if before is None else before.decision_id,
    }
    return Part(_PUT, values, returns=True)


async def adopt(tx: Tx, owner: str, slot: str, profile_id: str) -> None:
    """Make what was answered to somebody unknown (a keyed hash) a locked profile's own, in place
    of an answer that does not hold any more."""
    await tx.execute(_MAKE_ROOM, {"slot": slot, "profile_id": profile_id})
    await tx.execute(_ADOPT, {"owner": owner, "slot": slot, "profile_id": profile_id})


async def lock_action(tx: AsyncConnection, action_id: UUID) -> None:
    """Nobody adopts or counts this action of somebody unknown until the transaction ends. Order of
    locks: the slot that it is the answer for, then the action."""
    for statement in (_LOCK_SLOT, _LOCK_ACTION):
        await tx.execute(statement, {"action_id": action_id})


async def forget(tx: AsyncConnection, profile_ids: Collection[str]) -> None:
    """Whatever these profiles ask for next is decided anew."""
    await tx.execute(_FORGET, {"ids": list(profile_ids)})


async def forget_actions(tx: Tx, action_ids: Collection[UUID]) -> None:
    """The slots that these actions were the answer for are free again: they had an outcome, or
    were taken back."""
    await tx.execute(_FORGET_ACTIONS, {"ids": list(action_ids)})


async def drop_expired(tx: AsyncConnection, limit: int) -> int:
    """Delete answers whose time is up, at most `limit`; how many."""
    return (await tx.execute(_EXPIRED, {"limit": limit})).rowcount


def _kept(row: Row[Any]) -> Kept:
    return Kept(
        profile_id=row.profile_id,
        decision_id=row.decision_id,
        action_id=row.action_id,
        rule=row.rule,
        version=row.version,
        epoch=row.epoch,
        at=row.at,
        expires_at=row.expires_at,
        said=said_decoder.decode(row.body),
    )
