"""Segments, personas and event leaves: what is drafted, what is in force, and who is to be looked
at again; and the facts of a profile as conditions in SQL read them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHANGES = (
    "ALTER TABLE profile ADD COLUMN facts jsonb, ADD COLUMN computed jsonb",
    *(
        statement
        for kind in ("segment", "persona")
        for statement in (
            f"""
            CREATE TABLE {kind} (
                key text PRIMARY KEY,
                draft jsonb NOT NULL,
                draft_version bigint NOT NULL,
                status text NOT NULL CHECK (status IN ('draft', 'live', 'paused', 'archived')),
                live_version integer,
                created_at timestamptz NOT NULL,
                updated_at timestamptz NOT NULL,
                updated_by text NOT NULL
            )
            """,
            f"""
            CREATE TABLE {kind}_version (
                key text NOT NULL REFERENCES {kind} (key),
                version integer NOT NULL CHECK (version > 0),
                body jsonb NOT NULL,
                published_at timestamptz NOT NULL,
                published_by text NOT NULL,
                PRIMARY KEY (key, version)
            )
            """,
            f"ALTER TABLE {kind} ADD CONSTRAINT {kind}_live FOREIGN KEY (key, live_version) "
            f"REFERENCES {kind}_version (key, version)",
        )
    ),
    """
    CREATE TABLE definition_epoch (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        epoch bigint NOT NULL,
        floor bigint NOT NULL,
        personas_since bigint NOT NULL
    )
    """,
    "INSERT INTO definition_epoch (epoch, floor, personas_since) VALUES (1, 0, 0)",
    """
    CREATE TABLE definition (
        kind text NOT NULL CHECK (kind IN ('segment', 'persona')),
        key text NOT NULL,
        since bigint NOT NULL,
        body jsonb NOT NULL,
        PRIMARY KEY (kind, key)
    )
    """,
    """
    CREATE TABLE event_stream (
        key text PRIMARY KEY,
        keep integer NOT NULL,
        since bigint NOT NULL
    )
    """,
    """
    CREATE TABLE event_leaf (
        hash text PRIMARY KEY,
        body jsonb NOT NULL,
        since bigint NOT NULL,
        registered_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE definition_job (
        epoch bigint PRIMARY KEY,
        kind text NOT NULL,
        key text NOT NULL,
        status text NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'running', 'done', 'failed')),
        position uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        examined bigint NOT NULL DEFAULT 0,
        of bigint,
        changed bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        error text
    )
    """,
    "CREATE INDEX definition_job_open ON definition_job (epoch) WHERE finished_at IS NULL",
    "CREATE INDEX definition_job_of ON definition_job (kind, key, epoch DESC)",
    # What was there before has to be looked at once: its facts are to be written.
    "INSERT INTO definition_job (epoch, kind, key) VALUES (1, 'everything', '')",
    """
    CREATE TABLE deadline (
        profile_id uuid PRIMARY KEY,
        due_at timestamptz NOT NULL
    ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01,
            autovacuum_vacuum_cost_delay = 0)
    """,
    "CREATE INDEX deadline_due ON deadline (due_at)",
)


def upgrade() -> None:
    """Add everything."""
    for statement in CHANGES:
        op.execute(statement)
