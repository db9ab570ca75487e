"""Tasks that people do, and what an action has to show of its way: kind, score, how it was taken
back."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CHANGES = (
    # `reached`: how far the action had come when it was taken back.
    """
    ALTER TABLE action
        ADD COLUMN kind text NOT NULL DEFAULT 'send',
        ADD COLUMN score double precision NOT NULL DEFAULT 0,
        ADD COLUMN reached text
    """,
    # A claimed task whose lease is over is open again, without anybody writing so.
    """
    CREATE TABLE task (
        action_id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        channel text NOT NULL,
        queue text NOT NULL,
        status text NOT NULL CHECK (status IN
            ('open', 'claimed', 'completed', 'expired', 'withdrawn')),
        priority double precision NOT NULL,
        due_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        holder text,
        holder_name text,
        lease_until timestamptz,
        outcome text,
        note text,
        reason text,
        ended_at timestamptz,
        CHECK (status <> 'claimed' OR (holder IS NOT NULL AND lease_until IS NOT NULL))
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX task_to_do ON task (channel, queue, (-priority), due_at, action_id)
        WHERE status IN ('open', 'claimed')
    """,
    "CREATE INDEX task_of_profile ON task (profile_id, due_at)",
    "CREATE INDEX task_in_order ON task ((-priority), due_at, action_id)",
    # What may still be told of an action whose person was erased: that it is gone.
    "CREATE TABLE erased_action (action_id uuid PRIMARY KEY)",
)


def upgrade() -> None:
    """Add the columns and the tables."""
    for statement in CHANGES:
        op.execute(statement)
