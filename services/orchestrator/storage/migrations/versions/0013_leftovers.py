"""Queues that stay short to read, folders of files that were begun, and what may be deleted."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE INDEX task_to_do_in_order ON task ((-priority), due_at, action_id)
        WHERE status IN ('open', 'claimed')
    """,
    # What may still be told of a decision about somebody who was erased: that it is gone.
    "CREATE TABLE erased_decision (decision_id uuid PRIMARY KEY)",
    "ALTER TABLE delivery_batch ADD COLUMN folder text",
    """
    CREATE INDEX delivery_finished ON delivery (finished_at) WHERE finished_at IS NOT NULL
    """,
)


def upgrade() -> None:
    """Add the indexes and the column."""
    for statement in CHANGES:
        op.execute(statement)
