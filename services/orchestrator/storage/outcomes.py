"""What became of actions: one row for each delivery event, and what a new one has to know.

The profiles must be locked.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import OutcomeRow
from services.orchestrator.domain.note_outcome import Told
from services.orchestrator.storage.histories import ledger_contact
from shared.postgres.transaction import Tx

_INSERT = text(
    """
    INSERT INTO outcome (profile_id, touchpoint_id, action_id, outcome, at, channel, category,
                         topic, grp, rule)
    SELECT * FROM unnest(
        CAST(:profiles AS uuid[]), CAST(:touchpoints AS uuid[]), CAST(:actions AS uuid[]),
        CAST(:outcomes AS text[]), CAST(:instants AS timestamptz[]), CAST(:channels AS text[]),
        CAST(:categories AS text[]), CAST(:topics AS text[]), CAST(:groups AS text[]),
        CAST(:rules AS text[]))
        ON CONFLICT (profile_id, touchpoint_id) DO NOTHING
    """
)
_TOLD = text(
    """
    SELECT a.action_id, a.profile_id::text, a.kind, a.status, a.channel, a.category, a.topic,
           coalesce(a.grp, c.grp) AS grp, a.rule, a.published_at,
           coalesce(c.at, a.due_at) AS at, c.household::text,
           c.status = 'released' AS released
      FROM action AS a LEFT JOIN contact_ledger AS c USING (action_id)
     WHERE a.action_id = ANY(CAST(:ids AS uuid[]))
    """
)
_SAID = text(
    """
    SELECT action_id, outcome, max(at) AS at,
           array_agg(touchpoint_id::text)
               FILTER (WHERE touchpoint_id = ANY(CAST(:touchpoints AS uuid[]))) AS known
      FROM outcome
     WHERE action_id = ANY(CAST(:ids AS uuid[])) GROUP BY action_id, outcome
    """
)
_UNANSWERED = text(
    """
    SELECT action_id FROM action
     WHERE action_id = ANY(CAST(:ids AS uuid[])) AND response IS NULL
    """
)


async def insert(tx: Tx, rows: Sequence[OutcomeRow]) -> None:
    """Note what was said; what a touchpoint said is noted once."""
    if not rows:
        return
    await tx.execute(
        _INSERT,
        {
            "profiles": [row.profile_id for row in rows],
            "touchpoints": [row.touchpoint_id for row in rows],
            "actions": [row.outcome.action_id for row in rows],
            "outcomes": [row.outcome.outcome for row in rows],
            "instants": [row.outcome.at for row in rows],
            "channels": [row.outcome.channel for row in rows],
            "categories": [row.outcome.category for row in rows],
            "topics": [row.outcome.topic for row in rows],
            "groups": [row.outcome.group for row in rows],
            "rules": [row.outcome.rule for row in rows],
        },
    )


async def read_told(
    tx: AsyncConnection, ids: Collection[UUID], touchpoints: Collection[str]
) -> dict[UUID, Told]:
    """The actions with these ids, whoever they are for, with what was said of them so far, and
    which of these touchpoints said some of it."""
    values = {"ids": list(ids), "touchpoints": list(touchpoints)}
    said: dict[UUID, dict[str, datetime]] = {}
    known: dict[UUID, set[str]] = {}
    for row in await tx.execute(_SAID, values):
        said.setdefault(row.action_id, {})[row.outcome] = row.at
        known.setdefault(row.action_id, set()).update(row.known or ())
    return {
        row.action_id: Told(
            profile_id=row.profile_id,
            contact=ledger_contact(row),
            kind=row.kind,
            status=row.status,
            published_at=row.published_at,
            released=bool(row.released),
            said=said.get(row.action_id, {}),
            known=known.get(row.action_id, set()),
        )
        for row in await tx.execute(_TOLD, values)
    }


async def unanswered(tx: AsyncConnection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these actions their customers did nothing with."""
    return set((await tx.execute(_UNANSWERED, {"ids": list(ids)})).scalars())
