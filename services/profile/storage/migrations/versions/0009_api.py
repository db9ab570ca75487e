"""What people are searched by: their name in both orders, and identifiers in lower case."""

import sqlalchemy as sa
from alembic import op

from services.profile.domain.search import names_of

revision = "0009"
down_revision = "0006"
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
    SELECT id::text, facts -> 'traits' ->> 'first_name', facts -> 'traits' ->> 'last_name'
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
INDEXES = (
    """
    CREATE INDEX profile_first_last ON profile (first_last, id)
     WHERE status = 'active' AND first_last <> ''
    """,
    """
    CREATE INDEX profile_last_first ON profile (last_first, id)
     WHERE status = 'active' AND last_first <> ''
    """,
    """CREATE INDEX identifier_search ON identifier (lower(value COLLATE "C"))""",
)


def upgrade() -> None:
    """Add them, and fill in the names that are known."""
    op.execute(COLUMNS)
    connection = op.get_bind()
    after = NIL
    while rows := connection.execute(READ, {"after": after, "limit": PAGE}).all():
        names = [names_of({"first_name": row[1], "last_name": row[2]}) for row in rows]
        connection.execute(
            WRITE,
            {
                "ids": [row[0] for row in rows],
                "first_last": [one.first_last for one in names],
                "last_first": [one.last_first for one in names],
            },
        )
        after = rows[-1][0]
    for statement in INDEXES:
        op.execute(statement)
