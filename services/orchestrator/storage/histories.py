"""Reads what was done for profiles so far, for a whole batch at once: one statement per table.

The profiles must be locked. Only what the decisions at hand can depend on is read.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.history import Contact, History, InFlight

_IN_FLIGHT = text(
    """
    SELECT profile_id::text, action_id, rule, entry_key, channel, category, topic,
           CASE WHEN status = 'published'
                THEN convert_from(body, 'UTF8')::json ->> 'profile_id' END AS sent_for,
           occurred_at, cause, gen
      FROM action WHERE in_flight AND profile_id = ANY(CAST(:ids AS uuid[]))
     ORDER BY created_at, action_id
    """
)
_CONTACTS = text(
    """
    SELECT profile_id::text, action_id, at, channel, category, topic, grp, rule
      FROM contact_ledger
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND at > :since AND status <> 'released'
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


async def read_in_flight(tx: AsyncConnection, histories: Histories, ids: Collection[str]) -> None:
    """What can still be taken back, oldest first."""
    for row in await tx.execute(_IN_FLIGHT, {"ids": list(ids)}):
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
        )


async def read_contacts(
    tx: AsyncConnection,
    histories: Histories,
    ids: Collection[str],
    *,
    at: datetime,
    window: timedelta,
) -> None:
    """The contacts within `window` before `at`, and all planned for later."""
    for row in await tx.execute(_CONTACTS, {"ids": list(ids), "since": at - window}):
        histories[row.profile_id].contacts.append(
            Contact(
                action_id=row.action_id,
                at=row.at,
                channel=row.channel,
                category=row.category,
                topic=row.topic,
                group=row.grp,
                rule=row.rule,
            )
        )


async def read_entries(
    tx: AsyncConnection, histories: Histories, ids: Collection[str], rules: Collection[str]
) -> None:
    """When these rules last acted for the profiles."""
    for row in await tx.execute(_ENTRIES, {"ids": list(ids), "rules": list(rules)}):
        histories[row.profile_id].entries[(row.rule, row.entry_key)] = row.entered_at


async def read_exits(
    tx: AsyncConnection, histories: Histories, ids: Collection[str], criteria: Collection[str]
) -> None:
    """The latest touchpoints of the profiles that met these exit criteria."""
    for row in await tx.execute(_EXITS, {"ids": list(ids), "criteria": list(criteria)}):
        histories[row.profile_id].exits[row.criterion] = row.occurred_at


async def read_bodies(tx: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, bytes]:
    """The messages of actions, as planned."""
    rows = await tx.execute(_BODIES, {"ids": list(ids)})
    return {row.action_id: row.body for row in rows}


async def acted(tx: AsyncConnection, ids: Collection[UUID]) -> set[UUID]:
    """Which of the actions exist already, whatever became of them."""
    return set((await tx.execute(_ACTED, {"ids": list(ids)})).scalars())
