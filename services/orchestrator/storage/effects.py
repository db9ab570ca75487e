"""Writes what a batch changes: one statement for each table that has anything to write."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import TextClause, text

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.estimates import verdict
from services.orchestrator.domain.slot import ENDING
from services.orchestrator.storage import (
    deliveries,
    exposures,
    held_candidates,
    outcomes,
    propensity,
    resources,
    runs,
    slots,
    tasks,
)
from services.orchestrator.storage.deliveries import DeliveryRow
from shared.postgres.together import Part, write_together
from shared.postgres.transaction import Tx

_DECISIONS = text(
    """
    INSERT INTO decision (id, profile_id, touchpoint_id, at, body)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS uuid[]),
                         CAST(:c3 AS timestamptz[]), CAST(:c4 AS bytea[]))
    """
)
_ACTIONS = text(
    """
    INSERT INTO action (action_id, profile_id, rule, version, entry_key, touchpoint_id, decision_id,
                        channel, category, topic, status, in_flight, occurred_at, created_at,
                        due_at, expires_at, published_at, body, cause, grp, instead_of, kind,
                        score, persona, delivery, run, occurrence)
    SELECT * FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS text[]), CAST(:c3 AS integer[]),
        CAST(:c4 AS text[]), CAST(:c5 AS uuid[]), CAST(:c6 AS uuid[]), CAST(:c7 AS text[]),
        CAST(:c8 AS text[]), CAST(:c9 AS text[]), CAST(:c10 AS text[]), CAST(:c11 AS boolean[]),
        CAST(:c12 AS timestamptz[]), CAST(:c13 AS timestamptz[]), CAST(:c14 AS timestamptz[]),
        CAST(:c15 AS timestamptz[]), CAST(:c16 AS timestamptz[]), CAST(:c17 AS bytea[]),
        CAST(:c18 AS bytea[]), CAST(:c19 AS text[]), CAST(:c20 AS uuid[]), CAST(:c21 AS text[]),
        CAST(:c22 AS double precision[]), CAST(:c23 AS text[]), CAST(:c24 AS text[]),
        CAST(:c25 AS uuid[]), CAST(:c26 AS integer[]))
    """
)
_CHANGES = text(
    """
    UPDATE action AS a
       SET status = c.status, in_flight = c.in_flight, gen = a.gen + 1, reason = c.reason,
           published_at = COALESCE(c.published_at, a.published_at),
           body = COALESCE(c.body, a.body), due_at = COALESCE(c.due_at, a.due_at),
           cause = CASE WHEN c.in_flight THEN a.cause END
      FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS boolean[]),
                  CAST(:c3 AS text[]), CAST(:c4 AS timestamptz[]), CAST(:c5 AS bytea[]),
                  CAST(:c6 AS timestamptz[]))
           AS c (action_id, status, in_flight, reason, published_at, body, due_at)
     WHERE a.action_id = c.action_id
    """
)
_STANDINGS = text(
    """
    UPDATE action AS a SET delivery = s.delivery, response = s.response
      FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]))
           AS s (action_id, delivery, response)
     WHERE a.action_id = s.action_id
    """
)
_TAKEN_BACK = text(
    """
    UPDATE action AS a SET reached = t.reached
      FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[])) AS t (action_id, reached)
     WHERE a.action_id = t.action_id
    """
)
_CONTACTS = text(
    """
    INSERT INTO contact_ledger (action_id, profile_id, at, channel, category, topic, grp, rule,
                                status, household)
    SELECT * FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS timestamptz[]), CAST(:c3 AS text[]),
        CAST(:c4 AS text[]), CAST(:c5 AS text[]), CAST(:c6 AS text[]), CAST(:c7 AS text[]),
        CAST(:c8 AS text[]), CAST(:c9 AS uuid[]))
    """
)
_RELEASED = text(
    """
    UPDATE contact_ledger SET status = 'released' WHERE action_id = ANY(CAST(:c0 AS uuid[]))
    """
)
_MADE = text(
    """
    UPDATE contact_ledger AS c SET status = 'made', at = m.at
      FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS timestamptz[])) AS m (action_id, at)
     WHERE c.action_id = m.action_id
    """
)
_MOVED = text(
    """
    UPDATE contact_ledger AS c SET at = m.at
      FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS timestamptz[])) AS m (action_id, at)
     WHERE c.action_id = m.action_id
    """
)
_ENTRIES = text(
    """
    INSERT INTO rule_entry AS e (profile_id, rule, entry_key, entered_at, count)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]),
                         CAST(:c3 AS timestamptz[]), CAST(:c4 AS integer[]))
        ON CONFLICT (profile_id, rule, entry_key) DO UPDATE
       SET entered_at = greatest(e.entered_at, excluded.entered_at),
           count = e.count + excluded.count
    """
)
_EXITS = text(
    """
    INSERT INTO exit_mark AS e (profile_id, criterion, occurred_at, touchpoint_id)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS timestamptz[]),
                         CAST(:c3 AS uuid[]))
        ON CONFLICT (profile_id, criterion) DO UPDATE
       SET occurred_at = excluded.occurred_at, touchpoint_id = excluded.touchpoint_id
     WHERE e.occurred_at < excluded.occurred_at
    """
)
_INPUTS = text(
    """
    INSERT INTO replay_input (decision_id, profile_id, body)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS bytea[]))
    """
)
_TIMERS = text(
    """
    INSERT INTO timer (due_at, kind, profile_id, ref, gen)
    SELECT * FROM unnest(CAST(:c0 AS timestamptz[]), CAST(:c1 AS text[]), CAST(:c2 AS uuid[]),
                         CAST(:c3 AS uuid[]), CAST(:c4 AS integer[]))
    """
)


DELIVERED = "delivered"
"""The delivery of an action that was answered to who asked for it."""


async def write(tx: Tx, effects: Effects, also: Sequence[Part] = ()) -> list[int]:
    """Insert and change everything but the messages and the profiles' own rows, and what the
    caller writes beside it; the counts of those of `also` that return something."""
    new: list[tuple[TextClause, Rows]] = [
        (_DECISIONS, [
            (row.id, row.profile_id, row.touchpoint_id, row.at, row.body)
            for row in effects.decisions
        ]),
        (_ACTIONS, _action_rows(effects)),
        (_CONTACTS, _contact_rows(effects)),
        (_ENTRIES, [(*place, *entry) for place, entry in effects.entries.items()]),
        (_EXITS, [(*place, *mark) for place, mark in effects.exits.items()]),
        (_TIMERS, [
            (timer.due_at, timer.kind, timer.profile_id, timer.ref, timer.gen)
            for timer in effects.timers
        ]),
        (_INPUTS, [(row.id, row.profile_id, row.body) for row in effects.inputs]),
    ]  # fmt: skip
    parts = [Part(statement, _columns(rows)) for statement, rows in new if rows]
    counts = await write_together(tx, [*parts, *also])
    await _change(tx, effects)
    return counts


async def _change(tx: Tx, effects: Effects) -> None:
    """What concerns rows that may just have been inserted."""
    await _run(tx, _CHANGES, [
        (action_id, change.status, change.in_flight, change.reason, change.published_at,
         change.body, change.due_at)
        for action_id, change in effects.changes.items()
    ])  # fmt: skip
    await runs.write(tx, effects.runs)
    await runs.note(tx, effects.run_notes)
    await exposures.write(tx, effects.exposures, effects.measured)
    await _run(tx, _STANDINGS, [(action_id, *at) for action_id, at in effects.standings.items()])
    await _run(tx, _MADE, list(effects.made.items()))
    await _run(tx, _MOVED, list(effects.moved.items()))
    await _run(tx, _RELEASED, [(action_id,) for action_id in effects.released])
    if effects.held:
        await held_candidates.write(tx, effects.held)
    if effects.spent or (effects.scarce and effects.released):
        await resources.settle(tx, effects.spent, effects.released)
    ended = [one.outcome.action_id for one in effects.outcomes if one.outcome.outcome in ENDING]
    if effects.released or ended:
        await slots.forget_actions(tx, {*effects.released, *ended})
    await outcomes.insert(tx, effects.outcomes)
    await tasks.insert(tx, effects.tasks)
    await deliveries.queue(tx, _delivery_rows(effects))
    await _take_back(tx, effects)
    await propensity.count(tx, [
        propensity.Judged(row.outcome.action_id, taken)
        for row in effects.outcomes
        if (taken := verdict(row.outcome.outcome)) is not None
    ])  # fmt: skip


async def _take_back(tx: Tx, effects: Effects) -> None:
    """Take tasks and messages out of the queues of Concert, and say on each action how far it had
    come. A retraction is published as well: channel systems may have read the action."""
    reached = {action_id: one.reached for action_id, one in effects.taken_back.items()}
    told = {
        action_id: one for action_id, one in effects.taken_back.items() if one.message is not None
    }
    withdrawn = {action_id: one.reason for action_id, one in told.items() if one.task}
    reached |= await tasks.withdraw(tx, withdrawn)
    # Of every channel: what was queued for a connector is there even when it has another one now.
    messages = {
        action_id: one.message
        for action_id, one in told.items()
        if not one.task and one.message is not None
    }
    kept = await deliveries.withdraw(tx, messages.keys(), messages)
    await deliveries.supersede(tx, effects.superseded)
    reached |= dict.fromkeys(kept, "queued")
    await _run(tx, _TAKEN_BACK, list(reached.items()))


def _delivery_rows(effects: Effects) -> list[DeliveryRow]:
    return [
        DeliveryRow(
            action_id=row.action_id,
            channel=row.channel,
            profile_id=row.profile_id,
            due_at=row.due_at,
            expires_at=row.expires_at,
            body=row.body,
        )
        for row in effects.deliveries
    ]


def _action_rows(effects: Effects) -> list[tuple[object, ...]]:
    return [
        (
            row.planned.action_id,
            row.profile_id,
            row.planned.live.key,
            row.planned.live.rule.version,
            row.planned.entry_key,
            row.touchpoint_id,
            row.decision_id,
            row.planned.spec.channel,
            row.planned.live.rule.category,
            row.planned.live.rule.topic,
            row.status,
            row.in_flight,
            row.occurred_at,
            row.created_at,
            row.planned.due_at,
            row.planned.expires_at,
            row.created_at if row.status == "published" else None,
            row.body,
            row.cause,
            row.planned.contact.group,
            row.instead_of,
            row.planned.spec.kind,
            row.score,
            row.planned.persona,
            DELIVERED if row.answered else None,
            None if row.planned.step is None else row.planned.step.run,
            None if row.planned.step is None else row.planned.step.occurrence,
        )
        for row in effects.actions
    ]


def _contact_rows(effects: Effects) -> list[tuple[object, ...]]:
    return [
        (
            contact.action_id,
            row.profile_id,
            contact.at,
            contact.channel,
            contact.category,
            contact.topic,
            contact.group,
            contact.rule,
            "made" if row.status == "published" else "reserved",
            contact.household,
        )
        for row in effects.actions
        for contact in (row.planned.contact,)
    ]


Rows = Sequence[tuple[Any, ...]]


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {f"c{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}


async def _run(tx: Tx, statement: TextClause, rows: Rows) -> None:
    """Execute the statement with the rows as columns; nothing when there is none."""
    if rows:
        await tx.execute(statement, _columns(rows))
