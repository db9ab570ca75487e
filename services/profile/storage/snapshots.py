"""A profile and what it is looked at by, in one statement: for decisions, which have no time."""

from typing import NamedTuple

from sqlalchemy import TextClause, text

from services.profile.domain.profile import StoredProfile
from services.profile.storage.definitions import State
from services.profile.storage.profiles import stored_profile
from shared.postgres.transaction import Tx

_BY_IDENTIFIER = text(
    """
    SELECT found.*, epoch, floor, personas_since, clock.now() AS now
      FROM definition_epoch LEFT JOIN LATERAL (
           SELECT profile.id, profile.status, merged_into, seq, n_merges, state
             FROM identifier JOIN profile ON profile.id = identifier.profile_id
            WHERE identifier.id = CAST(:id AS uuid) AND identifier.status <> 'shared') AS found
        ON true
    """
)
_BY_ID = text(
    """
    WITH RECURSIVE way AS (
        SELECT id, merged_into FROM profile WHERE id = CAST(:id AS uuid)
        UNION
        SELECT next.id, next.merged_into
          FROM way CROSS JOIN LATERAL (
               SELECT id, merged_into FROM profile WHERE id = way.merged_into LIMIT 1
          ) AS next
    )
    SELECT found.*, epoch, floor, personas_since, clock.now() AS now
      FROM definition_epoch LEFT JOIN LATERAL (
           SELECT id, status, merged_into, seq, n_merges, state FROM profile
            WHERE id = (SELECT id FROM way WHERE merged_into IS NULL)) AS found ON true
    """
)


class Found(NamedTuple):
    """`profile` None: there is nobody. `state` is that of the definitions at the same instant."""

    profile: StoredProfile | None
    state: State


async def by_identifier(tx: Tx, identifier_id: str) -> Found:
    """The active profile that an identifier (by id) belongs to; one that many people share
    belongs to nobody here."""
    return await _read(tx, _BY_IDENTIFIER, identifier_id)


async def by_id(tx: Tx, profile_id: str) -> Found:
    """The active profile that an id stands for, through any number of merges."""
    return await _read(tx, _BY_ID, profile_id)


async def _read(tx: Tx, statement: TextClause, id_: str) -> Found:
    row = (await tx.execute(statement, {"id": id_})).one()
    profile = None if row.id is None else stored_profile(row[:6])
    return Found(profile, State(row.epoch, row.floor, row.personas_since, row.now))
