"""What people are searched by: their name in both orders, and identifiers in lower case; and
exports."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = """
    ALTER TABLE profile ADD COLUMN first_last text COLLATE "C",
                        ADD COLUMN last_first text COLLATE "C"
"""
OTHERS = (
    """
    CREATE INDEX profile_first_last ON profile (first_last, id)
     WHERE status = 'active' AND first_last <> ''
    """,
    """
    CREATE INDEX profile_last_first ON profile (last_first, id)
     WHERE status = 'active' AND last_first <> ''
    """,
    """CREATE INDEX identifier_search ON identifier (lower(value COLLATE "C"))""",
    """
    CREATE TABLE export (
        id uuid PRIMARY KEY,
        condition jsonb NOT NULL,
        fields text[] NOT NULL,
        format text NOT NULL CHECK (format IN ('ndjson', 'csv')),
        status text NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'running', 'done', 'failed')),
        position uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        of bigint,
        examined bigint NOT NULL DEFAULT 0,
        matched bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at timestamptz,
        finished_at timestamptz,
        error text,
        who text NOT NULL,
        who_name text NOT NULL
    )
    """,
    "CREATE INDEX export_open ON export (created_at, id) WHERE finished_at IS NULL",
    "CREATE INDEX export_newest ON export (created_at DESC, id DESC)",
    """
    CREATE TABLE export_part (
        export_id uuid NOT NULL REFERENCES export (id) ON DELETE CASCADE,
        last uuid NOT NULL,
        ids uuid[] NOT NULL,
        PRIMARY KEY (export_id, last)
    )
    """,
)


def upgrade() -> None:
    """Add everything; names are written with the facts, which the job of 0004 brings to all."""
    for statement in (COLUMNS, *OTHERS):
        op.execute(statement)
