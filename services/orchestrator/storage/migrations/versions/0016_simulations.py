"""Simulations: what was asked for, how far it is, what it found, and whom it names."""

from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

CHANGES = (
    # `inputs` is the configuration of both sides as it was when somebody asked. `crashes` counts
    # the processes that ended meanwhile, `attempt` is the fence against them.
    """
    CREATE TABLE simulation (
        id uuid PRIMARY KEY,
        kind text NOT NULL,
        key text NOT NULL,
        from_at timestamptz NOT NULL,
        to_at timestamptz NOT NULL,
        warm_at timestamptz NOT NULL,
        status text NOT NULL DEFAULT 'queued'
            CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
        inputs bytea,
        warnings text NOT NULL,
        personal boolean NOT NULL,
        done bigint NOT NULL DEFAULT 0,
        total bigint NOT NULL DEFAULT 0,
        counts text,
        changed_total bigint,
        digest text,
        problem text,
        requested_by text NOT NULL,
        requested_by_name text NOT NULL,
        requested_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz,
        member text,
        claimed_until timestamptz,
        attempt integer NOT NULL DEFAULT 0,
        crashes integer NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX simulation_waits ON simulation (requested_at, id) "
    "WHERE status IN ('queued', 'running')",
    "CREATE INDEX simulation_newest ON simulation (requested_at DESC, id DESC)",
    # The people that a result names are rows of their own, so that whoever is erased is gone.
    """
    CREATE TABLE simulation_change (
        simulation uuid NOT NULL REFERENCES simulation (id) ON DELETE CASCADE,
        place integer NOT NULL,
        profile_id uuid NOT NULL,
        body text NOT NULL,
        PRIMARY KEY (simulation, place)
    )
    """,
    "CREATE INDEX simulation_change_of ON simulation_change (profile_id)",
)


def upgrade() -> None:
    for statement in CHANGES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE simulation_change")
    op.execute("DROP TABLE simulation")
