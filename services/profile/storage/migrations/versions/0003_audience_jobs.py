"""Events that go to an audience: how far each has come on its way to the members."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES = (
    # A row is updated for every page of profiles: room on its page keeps that off the indexes.
    """
    CREATE TABLE audience_job (
        touchpoint_id uuid PRIMARY KEY,
        source text NOT NULL,
        message_id text NOT NULL,
        type text NOT NULL,
        condition bytea NOT NULL,
        status text NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
        position uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        until uuid,
        of bigint,
        examined bigint NOT NULL DEFAULT 0 CHECK (examined >= matched + left_out),
        matched bigint NOT NULL DEFAULT 0,
        left_out bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at timestamptz,
        finished_at timestamptz,
        error text,
        CHECK ((finished_at IS NULL) = (status IN ('waiting', 'running')))
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE INDEX audience_job_open ON audience_job (created_at, touchpoint_id)
     WHERE finished_at IS NULL
    """,
    "CREATE INDEX audience_job_newest ON audience_job (created_at DESC, touchpoint_id DESC)",
)


def upgrade() -> None:
    """Add the table."""
    for statement in CHANGES:
        op.execute(statement)
