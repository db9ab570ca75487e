"""Privacy: requests, what is being erased, and who must not come back."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE privacy_request (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('access', 'rectification', 'erasure')),
        profiles uuid[] NOT NULL,
        family uuid[],
        evidence_until bigint,
        suppress boolean NOT NULL DEFAULT false,
        status text NOT NULL DEFAULT 'pending'
            CHECK (status IN ('pending', 'running', 'completed', 'failed')),
        phase text NOT NULL DEFAULT 'begin',
        position text NOT NULL DEFAULT '',
        counts jsonb NOT NULL DEFAULT '{}',
        requested_by text NOT NULL,
        requested_by_name text NOT NULL,
        requested_at timestamptz NOT NULL,
        started_at timestamptz,
        erased_at timestamptz,
        finished_at timestamptz,
        retry_at timestamptz,
        expires_at timestamptz,
        problem text,
        receipt jsonb
    )
    """,
    """
    CREATE INDEX privacy_request_open ON privacy_request (requested_at, id)
        WHERE finished_at IS NULL
    """,
    "CREATE INDEX privacy_request_newest ON privacy_request (requested_at DESC, id DESC)",
    """
    CREATE TABLE privacy_subject (
        request_id uuid NOT NULL REFERENCES privacy_request (id),
        identifier_id uuid NOT NULL,
        type text NOT NULL,
        value text NOT NULL,
        name text,
        held boolean NOT NULL,
        PRIMARY KEY (request_id, identifier_id)
    )
    """,
    """
    CREATE TABLE privacy_export (
        request_id uuid NOT NULL REFERENCES privacy_request (id),
        part integer NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (request_id, part)
    )
    """,
    """
    CREATE TABLE suppression (
        hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
        erased_at timestamptz NOT NULL,
        always boolean NOT NULL
    )
    """,
    """
    CREATE TABLE erased_profile (
        id uuid PRIMARY KEY,
        request_id uuid NOT NULL,
        erased_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE erasure_epoch (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        epoch bigint NOT NULL,
        newest timestamptz,
        always boolean NOT NULL
    )
    """,
    "INSERT INTO erasure_epoch (epoch, always) VALUES (0, false)",
)


def upgrade() -> None:
    """Add the six tables."""
    for statement in CHANGES:
        op.execute(statement)
