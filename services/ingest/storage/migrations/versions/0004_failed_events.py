"""Events that could not be read, each with its reason."""

from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE failed_event (
        id uuid PRIMARY KEY,
        source text,
        event_id text,
        channel text,
        reason text NOT NULL,
        message text NOT NULL,
        failed_at timestamptz NOT NULL,
        status text NOT NULL
    )
    """,
    "CREATE INDEX failed_event_of_publisher ON failed_event (source, event_id)",
)


def upgrade() -> None:
    """Add the table."""
    for statement in CHANGES:
        op.execute(statement)
