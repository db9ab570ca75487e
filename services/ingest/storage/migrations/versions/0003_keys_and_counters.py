"""Versions of sources, keys that end by themselves, and how many events a source published."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES = (
    "ALTER TABLE source ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0)",
    """
    ALTER TABLE source_key
        ADD COLUMN expires_at timestamptz,
        ADD COLUMN scopes text[] NOT NULL DEFAULT '{collect}'
            CHECK (cardinality(scopes) > 0 AND scopes <@ '{collect,read}')
    """,
    """
    CREATE TABLE source_counter (
        source_id text PRIMARY KEY REFERENCES source,
        received bigint NOT NULL,
        failed bigint NOT NULL CHECK (failed BETWEEN 0 AND received)
    )
    WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    """Add them; the keys there never expire, the counters begin at none."""
    for statement in CHANGES:
        op.execute(statement)
