"""Traits: drafts and versions, in force beside segments and personas."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE trait (
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
    """
    CREATE TABLE trait_version (
        key text NOT NULL REFERENCES trait (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    "ALTER TABLE trait ADD CONSTRAINT trait_live FOREIGN KEY (key, live_version) "
    "REFERENCES trait_version (key, version)",
    "ALTER TABLE definition DROP CONSTRAINT definition_kind_check",
    "ALTER TABLE definition ADD CONSTRAINT definition_kind_check "
    "CHECK (kind IN ('segment', 'persona', 'trait'))",
)


def upgrade() -> None:
    """Add everything."""
    for statement in CHANGES:
        op.execute(statement)
