"""What the built-in connectors have to deliver, how far each came, and each channel's limits."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHANGES = (
    # `due_at`, `queued_at` and `expires_at` are the business clock's, `lease_until` is real time.
    # `reached`: a try may have come through to the channel, though nobody said so.
    """
    CREATE TABLE delivery (
        action_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('send', 'retract')),
        channel text NOT NULL,
        profile_id uuid NOT NULL,
        state text NOT NULL CHECK (state IN
            ('waiting', 'claimed', 'delivered', 'bounced', 'failed', 'expired', 'withdrawn')),
        test boolean NOT NULL DEFAULT false,
        queued_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        expires_at timestamptz,
        tries integer NOT NULL DEFAULT 0,
        epoch integer NOT NULL DEFAULT 0,
        lease_until timestamptz,
        reached boolean NOT NULL DEFAULT false,
        withdrawn_at timestamptz,
        finished_at timestamptz,
        reason text,
        batch date,
        body bytea NOT NULL,
        PRIMARY KEY (action_id, kind),
        CHECK ((state = 'claimed') = (lease_until IS NOT NULL))
    ) WITH (fillfactor = 80)
    """,
    """
    CREATE INDEX delivery_waiting ON delivery (channel, due_at, action_id)
        WHERE state = 'waiting'
    """,
    """
    CREATE INDEX delivery_expiring ON delivery (channel, expires_at)
        WHERE state = 'waiting' AND expires_at IS NOT NULL
    """,
    "CREATE INDEX delivery_claimed ON delivery (channel, lease_until) WHERE state = 'claimed'",
    "CREATE INDEX delivery_of_profile ON delivery (profile_id)",
    "CREATE INDEX delivery_tests ON delivery (queued_at) WHERE test",
    "CREATE INDEX delivery_of_batch ON delivery (channel, batch) WHERE batch IS NOT NULL",
    # One row for each channel, shared by all processes; all of it is real time.
    """
    CREATE TABLE delivery_channel (
        channel text PRIMARY KEY,
        slots jsonb NOT NULL DEFAULT '{}',
        failures integer NOT NULL DEFAULT 0,
        opened integer NOT NULL DEFAULT 0,
        blocked_until timestamptz
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE delivery_batch (
        channel text NOT NULL,
        day date NOT NULL,
        epoch integer NOT NULL DEFAULT 0,
        lease_until timestamptz,
        file text,
        lines integer,
        sha256 text,
        closed_at timestamptz,
        PRIMARY KEY (channel, day)
    )
    """,
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
