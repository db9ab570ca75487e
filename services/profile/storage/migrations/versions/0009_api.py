"""What people are searched by: their name in both orders, and identifiers in lower case; and
exports."""

import sqlalchemy as sa
from alembic import op

from services.profile.domain.search import Names, names_in

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PAGE = 5000
NIL = "00000000-0000-0000-0000-000000000000"

COLUMNS = """
    ALTER TABLE profile ADD COLUMN first_last text COLLATE "C",
                        ADD COLUMN last_first text COLLATE "C"
"""
READ = sa.text(
    """
    SELECT CAST(id AS text), CAST(facts -> 'traits' -> 'first_name' AS text),
           CAST(facts -> 'traits' -> 'last_name' AS text)
      FROM profile
     WHERE id > CAST(:after AS uuid) AND status = 'active'
       AND (facts -> 'traits' ? 'first_name' OR facts -> 'traits' ? 'last_name')
     ORDER BY id LIMIT :limit
    """
)
WRITE = sa.text(
    """
    UPDATE profile SET first_last = named.first_last, last_first = named.last_first
      FROM unnest(CAST(:ids AS uuid[]), CAST(:first_last AS text[]), CAST(:last_first AS text[]))
           AS named (id, first_last, last_first)
     WHERE profile.id = named.id
    """
)
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
    """Add everything, and fill in the names that are known."""
    op.execute(COLUMNS)
    connection = op.get_bind()
    after = NIL
    while rows := connection.execute(READ, {"after": after, "limit": PAGE}).all():
        names = [_names(first, last) for _, first, last in rows]
        connection.execute(
            WRITE,
            {
                "ids": [row[0] for row in rows],
                "first_last": [one.first_last for one in names],
                "last_first": [one.last_first for one in names],
            },
        )
        after = rows[-1][0]
    for statement in OTHERS:
        op.execute(statement)


def _names(first: str | None, last: str | None) -> Names:
    """The name in two traits, each as JSON."""
    known = {"first_name": first, "last_name": last}
    return names_in({name: said.encode() for name, said in known.items() if said is not None})
