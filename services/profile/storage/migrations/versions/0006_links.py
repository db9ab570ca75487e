"""Link suggestions: the batches that make them, what they suggest, and what people said of it."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE link_run (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        status text NOT NULL DEFAULT 'queued'
            CHECK (status IN ('queued', 'running', 'completed', 'failed')),
        threshold double precision NOT NULL CHECK (threshold >= 0 AND threshold <= 1),
        requested_by text NOT NULL,
        requested_by_name text NOT NULL,
        requested_at timestamptz NOT NULL,
        started_at timestamptz,
        finished_at timestamptz,
        phase text,
        profiles bigint NOT NULL DEFAULT 0,
        pairs bigint NOT NULL DEFAULT 0,
        suggestions bigint NOT NULL DEFAULT 0,
        problem text,
        -- Real time, not the deployment's clock: whose process is at work, and for how long yet.
        member text,
        attempt integer NOT NULL DEFAULT 0,
        claimed_until timestamptz
    )
    """,
    "CREATE UNIQUE INDEX link_run_open ON link_run ((true)) WHERE status IN ('queued', 'running')",
    """
    CREATE TABLE link_suggestion (
        id uuid PRIMARY KEY,
        profile_a uuid NOT NULL,
        profile_b uuid NOT NULL,
        score double precision NOT NULL,
        features jsonb NOT NULL,
        status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'rejected')),
        run bigint NOT NULL,
        found_at timestamptz NOT NULL,
        UNIQUE (profile_a, profile_b),
        CHECK (profile_a < profile_b)
    )
    """,
    "CREATE INDEX link_suggestion_score ON link_suggestion (score DESC, id DESC)",
    "CREATE INDEX link_suggestion_profile_b ON link_suggestion (profile_b)",
    """
    CREATE TABLE link_verdict (
        suggestion_id uuid PRIMARY KEY,
        profile_a uuid NOT NULL,
        profile_b uuid NOT NULL,
        verdict text NOT NULL CHECK (verdict IN ('accepted', 'rejected')),
        score double precision NOT NULL,
        merge_id uuid CHECK ((merge_id IS NOT NULL) = (verdict = 'accepted')),
        who text NOT NULL,
        who_name text NOT NULL,
        at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Add the three tables."""
    for statement in CHANGES:
        op.execute(statement)
