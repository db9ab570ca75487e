"""Profiles, identifiers, touchpoints, merges; the tables of the processing core and of access."""

from alembic import op
from sqlalchemy import MetaData

from shared.postgres.access_tables import access_tables
from shared.postgres.tables import stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TOUCHPOINT_PARTITIONS = 8

CREATE = (
    """
    CREATE TABLE profile (
        id uuid PRIMARY KEY,
        status text NOT NULL CHECK (status IN ('active', 'merged')),
        merged_into uuid CHECK ((merged_into IS NOT NULL) = (status = 'merged')),
        seq bigint NOT NULL,
        n_merges integer NOT NULL,
        state bytea NOT NULL,
        created_at timestamptz NOT NULL,
        last_seen_at timestamptz NOT NULL,
        -- The smaller id survives a merge; so no chain of merges can run in a circle.
        CHECK (merged_into < id)
    ) WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05,
            autovacuum_vacuum_cost_delay = 0)
    """,
    # A state is small and already compact: compressing it would only cost time.
    "ALTER TABLE profile ALTER COLUMN state SET STORAGE EXTERNAL",
    # A frame lives for milliseconds: compressing it would cost more than all other work on it.
    "ALTER TABLE outbox ALTER COLUMN frame SET STORAGE EXTERNAL",
    """
    CREATE TABLE identifier (
        id uuid PRIMARY KEY,
        type text NOT NULL,
        value text NOT NULL,
        profile_id uuid NOT NULL,
        status text NOT NULL DEFAULT 'active'
    ) WITH (fillfactor = 90)
    """,
    """
    CREATE TABLE touchpoint (
        id uuid PRIMARY KEY,
        anchor uuid,
        occurred_at timestamptz NOT NULL,
        raw_topic text NOT NULL,
        raw_partition integer NOT NULL,
        raw_offset bigint NOT NULL,
        reason text,
        body bytea NOT NULL
    ) PARTITION BY HASH (id)
    """,
    *(
        f"""
        CREATE TABLE touchpoint_{n} PARTITION OF touchpoint
            FOR VALUES WITH (MODULUS {TOUCHPOINT_PARTITIONS}, REMAINDER {n})
        """
        for n in range(TOUCHPOINT_PARTITIONS)
    ),
    "CREATE INDEX touchpoint_timeline ON touchpoint (anchor, occurred_at DESC, id DESC)",
    """
    CREATE TABLE touchpoint_duplicate (
        id uuid NOT NULL,
        raw_topic text NOT NULL,
        raw_partition integer NOT NULL,
        raw_offset bigint NOT NULL,
        source text NOT NULL,
        PRIMARY KEY (id, raw_topic, raw_partition, raw_offset)
    )
    """,
    """
    CREATE TABLE merge (
        id uuid PRIMARY KEY,
        number bigint GENERATED ALWAYS AS IDENTITY,
        winner uuid NOT NULL,
        loser uuid NOT NULL,
        winner_seq bigint NOT NULL,
        at timestamptz NOT NULL,
        cause jsonb NOT NULL,
        moved uuid[] NOT NULL,
        before jsonb NOT NULL,
        undone_at timestamptz
    )
    """,
    "CREATE INDEX merge_winner ON merge (winner, winner_seq)",
    "CREATE INDEX merge_loser ON merge (loser)",
)


def upgrade() -> None:
    """Create everything."""
    core = MetaData()
    core.create_all(op.get_bind(), tables=[*stream_tables(core), *access_tables(core)])
    for statement in CREATE:
        op.execute(statement)
