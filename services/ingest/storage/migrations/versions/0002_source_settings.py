"""What a source says of its events beyond their dialect."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGES = (
    """
    ALTER TABLE source
        ADD COLUMN timezone text,
        ADD COLUMN device boolean NOT NULL DEFAULT false,
        ADD COLUMN max_age_seconds bigint CHECK (max_age_seconds > 0),
        ADD COLUMN mapping jsonb,
        ADD COLUMN tracking text NOT NULL DEFAULT 'off'
            CHECK (tracking IN ('off', 'warn', 'reject')),
        ADD COLUMN events_per_second integer CHECK (events_per_second > 0),
        ADD COLUMN pii jsonb NOT NULL DEFAULT '{}',
        DROP CONSTRAINT source_dialect_check,
        ADD CONSTRAINT source_dialect_check
            CHECK (dialect IN ('segment', 'cloudevents', 'native', 'webhook'))
    """,
)


def upgrade() -> None:
    """Add the columns; the sources there are keep their ways."""
    for statement in CHANGES:
        op.execute(statement)
