"""Reads what was done for profiles so far, for a whole batch at once: one statement per table.

The profiles must be locked. Only what the decisions at hand can depend on is read.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row

from services.orchestrator.domain.history import (
    Contact,
    Held,
    History,
    Households,
    InFlight,
    Outcome,
)
from services.orchestrator.domain.run import Standing, Step
from services.orchestrator.storage.runs import run_decoder
from shared.postgres.transaction import Tx

_IN_FLIGHT = text(
    """
    SELECT profile_id::text, action_id, rule, entry_key, channel, category, topic,
           CASE WHEN status = 'published'
                THEN convert_from(body, 'UTF8')::json ->> 'profile_id' END AS sent_for,
           occurred_at, cause, gen, kind, score, instead_of, created_at,
           CAST(NULL AS text[]) AS rules, CAST(NULL AS text) AS of,
           CAST(NULL AS timestamptz) AS ends_at, run, occurrence, CAST(NULL AS bytea) AS state
      FROM action WHERE in_flight AND profile_id = ANY(CAST(:ids AS uuid[]))
    UNION ALL
    SELECT profile_id::text, touchpoint_id, '', '', '', '', NULL, NULL,
           occurred_at, cause, 0, '', 0, NULL, held_at, rules, of::text, ends_at, NULL, NULL, NULL
      FROM held_candidate WHERE profile_id = ANY(CAST(:ids AS uuid[]))
    UNION ALL
    SELECT profile_id::text, id, journey, '', '', '', NULL, NULL,
           entered_at, cause, 0, '', 0, NULL, entered_at, NULL, NULL, NULL, NULL, NULL, state
      FROM journey_run WHERE watching AND profile_id = ANY(CAST(:ids AS uuid[]))
     ORDER BY created_at, action_id
    """
)
_CONTACTS = text(
    """
    SELECT profile_id::text, action_id, at, channel, category, topic, grp, rule, household::text
      FROM contact_ledger
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND at > :since AND status <> 'released'
    """
)
_HAVE_HOUSEHOLDS = text(
    """
    INSERT INTO household_turn (household)
    SELECT * FROM unnest(CAST(:ids AS uuid[])) AS given (id) ORDER BY id ON CONFLICT DO NOTHING
    """
)
_LOCK_HOUSEHOLDS = text(
    """
    SELECT household FROM household_turn WHERE household = ANY(CAST(:ids AS uuid[]))
     ORDER BY household FOR UPDATE
    """
)
_OF_HOUSEHOLDS = text(
    """
    SELECT action_id, at, channel, category, topic, grp, rule, household::text
      FROM contact_ledger
     WHERE household = ANY(CAST(:ids AS uuid[])) AND at > :since AND status <> 'released'
    """
)
_OUTCOMES = text(
    """
    SELECT profile_id::text, action_id, outcome, at, channel, category, topic, grp, rule
      FROM outcome
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND at > :since ORDER BY at, touchpoint_id
    """
)
_ENTRIES = text(
    """
    SELECT profile_id::text, rule, entry_key, entered_at FROM rule_entry
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND rule = ANY(CAST(:rules AS text[]))
    """
)
_EXITS = text(
    """
    SELECT profile_id::text, criterion, occurred_at FROM exit_mark
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND criterion = ANY(CAST(:criteria AS text[]))
    """
)
_BODIES = text("SELECT action_id, body FROM action WHERE action_id = ANY(CAST(:ids AS uuid[]))")
_ACTED = text("SELECT action_id FROM action WHERE action_id = ANY(CAST(:ids AS uuid[]))")

Histories = dict[str, History]


async def read_in_flight(tx: Tx, histories: Histories, ids: Collection[str]) -> None:
    """What can still be taken back, the candidates that wait, and the runs of journeys; the oldest
    first."""
    for row in await tx.execute(_IN_FLIGHT, {"ids": list(ids)}):
        if row.state is not None:
            run = run_decoder.decode(row.state)
            histories[row.profile_id].runs[run.id] = Standing(run, row.cause)
            continue
        if row.rules is not None:
            touchpoint_id = str(row.action_id)
            histories[row.profile_id].held[touchpoint_id] = Held(
                touchpoint_id=touchpoint_id,
                of=row.of,
                held_at=row.created_at,
                ends_at=row.ends_at,
                occurred_at=row.occurred_at,
                cause=row.cause,
                rules=tuple(row.rules),
            )
            continue
        histories[row.profile_id].in_flight[row.action_id] = InFlight(
            action_id=row.action_id,
            rule=row.rule,
            entry_key=row.entry_key,
            channel=row.channel,
            category=row.category,
            topic=row.topic,
            sent_for=row.sent_for,
            occurred_at=row.occurred_at,
            cause=row.cause,
            gen=row.gen,
            kind=row.kind,
            score=row.score,
            instead_of=row.instead_of,
            step=None if row.run is None else Step(row.run, row.occurrence),
        )


async def read_contacts(
    tx: Tx,
    histories: Histories,
    ids: Collection[str],
    *,
    at: datetime,
    window: timedelta,
) -> None:
    """The contacts within `window` before `at`, and all planned for later."""
    for row in await tx.execute(_CONTACTS, {"ids": list(ids), "since": at - window}):
        histories[row.profile_id].contacts.append(ledger_contact(row))


async def read_household_contacts(
    tx: Tx,
    histories: Histories,
    households: Collection[str],
    *,
    at: datetime,
    window: timedelta,
) -> None:
    """Take the turn of the households, and read the contacts with everybody of them.

    Until the transaction ends nobody else decides about a member of them: two members on two
    partitions cannot pass one cap together. To be called after the profiles are locked.
    """
    ids = sorted(households)
    await tx.execute(_HAVE_HOUSEHOLDS, {"ids": ids})
    await tx.execute(_LOCK_HOUSEHOLDS, {"ids": ids})
    found: Households = {household: {} for household in ids}
    for row in await tx.execute(_OF_HOUSEHOLDS, {"ids": ids, "since": at - window}):
        found[row.household][row.action_id] = ledger_contact(row)
    for history in histories.values():
        history.households = found


def ledger_contact(row: Row[Any]) -> Contact:
    """The contact that a row with the columns of the ledger tells of."""
    return Contact(
        action_id=row.action_id,
        at=row.at,
        channel=row.channel,
        category=row.category,
        topic=row.topic,
        group=row.grp,
        rule=row.rule,
        household=row.household,
    )


async def read_outcomes(
    tx: Tx,
    histories: Histories,
    ids: Collection[str],
    *,
    at: datetime,
    window: timedelta,
) -> None:
    """What became of actions within `window` before `at`, the newest last."""
    for row in await tx.execute(_OUTCOMES, {"ids": list(ids), "since": at - window}):
        histories[row.profile_id].outcomes.append(
            Outcome(
                action_id=row.action_id,
                outcome=row.outcome,
                at=row.at,
                channel=row.channel,
                category=row.category,
                topic=row.topic,
                group=row.grp,
                rule=row.rule,
            )
        )


async def read_entries(
    tx: Tx, histories: Histories, ids: Collection[str], rules: Collection[str]
) -> None:
    """When these rules last acted for the profiles."""
    for row in await tx.execute(_ENTRIES, {"ids": list(ids), "rules": list(rules)}):
        histories[row.profile_id].entries[(row.rule, row.entry_key)] = row.entered_at


async def read_exits(
    tx: Tx, histories: Histories, ids: Collection[str], criteria: Collection[str]
) -> None:
    """The latest touchpoints of the profiles that met these exit criteria."""
    for row in await tx.execute(_EXITS, {"ids": list(ids), "criteria": list(criteria)}):
        histories[row.profile_id].exits[row.criterion] = row.occurred_at


async def read_bodies(tx: Tx, ids: Collection[UUID]) -> dict[UUID, bytes]:
    """The messages of actions, as planned."""
    rows = await tx.execute(_BODIES, {"ids": list(ids)})
    return {row.action_id: row.body for row in rows}


async def acted(tx: Tx, ids: Collection[UUID]) -> set[UUID]:
    """Which of the actions exist already, whatever became of them."""
    return set((await tx.execute(_ACTED, {"ids": list(ids)})).scalars())
