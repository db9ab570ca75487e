"""Watches the lease rows: every version of each (a trigger of the test), and snapshots of all."""

import asyncio

import asyncpg

from tests.oracle.invariants import LeaseState

SCHEMAS = ("ingest", "profile", "orchestrator")
COLUMNS = "grp, topic, part, base_offset, next_offset, applied, deduped, dead, gaps"
SAMPLE_SECONDS = 0.2

_HISTORY = f"""
CREATE SCHEMA chaos;
CREATE TABLE chaos.lease_history (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL,
    service text NOT NULL, owner text, epoch bigint NOT NULL,
    grp text NOT NULL, topic text NOT NULL, part int NOT NULL, base_offset bigint NOT NULL,
    next_offset bigint NOT NULL, applied bigint NOT NULL, deduped bigint NOT NULL,
    dead bigint NOT NULL, gaps bigint NOT NULL);
CREATE FUNCTION chaos.remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO chaos.lease_history (at, service, owner, epoch, {COLUMNS})
    SELECT clock_timestamp(), TG_TABLE_SCHEMA, new.owner, new.epoch, new.grp, new.topic, new.part,
           new.base_offset, new.next_offset, new.applied, new.deduped, new.dead, new.gaps;
    RETURN NULL;
END $$;
"""


async def remember_leases(database: asyncpg.Connection) -> None:
    """Keep every version of every lease row from now on, in this database only."""
    await database.execute(_HISTORY)
    for schema in SCHEMAS:
        await database.execute(
            f"CREATE TRIGGER remember AFTER INSERT OR UPDATE ON {schema}.lease "
            "FOR EACH ROW EXECUTE FUNCTION chaos.remember()"
        )


async def lease_history(database: asyncpg.Connection) -> list[LeaseState]:
    """Every version of every row, in the order they were written."""
    rows = await database.fetch(f"SELECT {COLUMNS} FROM chaos.lease_history ORDER BY n")
    return [LeaseState(*row) for row in rows]


async def leases_now(database: asyncpg.Connection) -> list[LeaseState]:
    """All lease rows in one snapshot; the relay's shards have no offsets and are left out."""
    union = " UNION ALL ".join(f"SELECT {COLUMNS} FROM {schema}.lease" for schema in SCHEMAS)
    rows = await database.fetch(f"SELECT * FROM ({union}) AS all_leases WHERE topic <> 'outbox'")
    return [LeaseState(*row) for row in rows]


async def sample_leases(database_url: str, seen: list[LeaseState]) -> None:
    """Take a snapshot five times a second until cancelled."""
    database = await asyncpg.connect(database_url)
    try:
        while True:
            seen += await leases_now(database)
            await asyncio.sleep(SAMPLE_SECONDS)
    finally:
        await database.close()


async def records_by_owner(database: asyncpg.Connection, service: str) -> dict[str, int]:
    """How many offsets each member of a service's consumer group passed."""
    rows = await database.fetch(
        """
        SELECT owner, sum(passed)::bigint AS passed
          FROM (SELECT owner, next_offset - lag(next_offset) OVER
                         (PARTITION BY grp, topic, part ORDER BY n) AS passed
                  FROM chaos.lease_history WHERE service = $1 AND topic <> 'outbox') AS steps
         WHERE passed > 0
         GROUP BY owner
        """,
        service,
    )
    return {row["owner"]: row["passed"] for row in rows}


async def relay_owners(database: asyncpg.Connection, service: str) -> dict[int, list[str]]:
    """Who owned each shard of a service's outbox, one after the other."""
    rows = await database.fetch(
        "SELECT part, owner FROM chaos.lease_history "
        "WHERE service = $1 AND topic = 'outbox' AND owner IS NOT NULL ORDER BY n",
        service,
    )
    owners: dict[int, list[str]] = {}
    for row in rows:
        chain = owners.setdefault(row["part"], [])
        if not chain or chain[-1] != row["owner"]:
            chain.append(row["owner"])
    return owners
