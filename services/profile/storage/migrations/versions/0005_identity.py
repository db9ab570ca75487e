"""Evidence of every decision of identity, what is kept apart, and rules that can be published."""

from alembic import op

from shared.postgres.epochs import CREATE as EPOCH

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = (
    # The batch that a touchpoint was absorbed in leads to its evidence without an index of its own.
    "CREATE SEQUENCE batch_id",
    "ALTER TABLE touchpoint ADD COLUMN batch bigint",
    """
    CREATE TABLE evidence (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        batch bigint UNIQUE,
        rules integer NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        touchpoints uuid[],
        profiles uuid[],
        notes bytea,
        decision bytea,
        CHECK ((batch IS NULL) = (touchpoints IS NULL)),
        CHECK ((batch IS NULL) = (decision IS NOT NULL))
    )
    """,
    # Random ids do not shrink: compressing them would only cost time.
    "ALTER TABLE evidence ALTER COLUMN touchpoints SET STORAGE EXTERNAL",
    "ALTER TABLE evidence ALTER COLUMN profiles SET STORAGE EXTERNAL",
    """
    CREATE TABLE cannot_link (
        id uuid PRIMARY KEY,
        one uuid NOT NULL,
        other uuid NOT NULL CHECK (one < other),
        cause text NOT NULL CHECK (cause IN ('undo', 'split', 'hand')),
        cause_id uuid NOT NULL,
        why text NOT NULL,
        actor text NOT NULL,
        at timestamptz NOT NULL,
        removed_at timestamptz,
        removed_by text
    )
    """,
    "CREATE UNIQUE INDEX cannot_link_pair ON cannot_link (one, other) WHERE removed_at IS NULL",
    "CREATE INDEX cannot_link_other ON cannot_link (other)",
    """
    CREATE TABLE identity_rules (
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
    CREATE TABLE identity_rules_version (
        key text NOT NULL REFERENCES identity_rules (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    *EPOCH,
)


def upgrade() -> None:
    """Add them. Touchpoints of before have no evidence: which rules held then is not known."""
    for statement in CHANGES:
        op.execute(statement)
