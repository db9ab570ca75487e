"""Sources and their keys, tokens and audit, and the tables of the processing core."""

from alembic import op
from sqlalchemy import MetaData

from shared.postgres.access_tables import access_tables
from shared.postgres.tables import stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE source (
        id text PRIMARY KEY,
        name text NOT NULL,
        channel text NOT NULL,
        offline boolean NOT NULL,
        dialect text NOT NULL CHECK (dialect IN ('segment', 'cloudevents', 'native')),
        default_region text,
        subject_as text,
        trust smallint NOT NULL CHECK (trust BETWEEN 0 AND 100),
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL
    )
    """,
    """
    CREATE TABLE source_key (
        id text PRIMARY KEY,
        source_id text NOT NULL REFERENCES source,
        prefix text NOT NULL,
        key_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(key_sha256) = 32),
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX source_key_of_source ON source_key (source_id, created_at)",
)


def upgrade() -> None:
    """Create everything."""
    core = MetaData()
    for table in (*stream_tables(core), *access_tables(core)):
        table.create(op.get_bind())
    for statement in CREATE:
        op.execute(statement)
