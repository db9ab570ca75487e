"""Experiments: drafted, published, running; who was exposed to what, and what counts for it."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE experiment (
        key text PRIMARY KEY,
        draft jsonb NOT NULL,
        draft_version bigint NOT NULL,
        status text NOT NULL CHECK (status IN ('draft', 'live', 'paused', 'archived')),
        live_version integer,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL
    )
    """,
    """
    CREATE TABLE experiment_version (
        key text NOT NULL REFERENCES experiment (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    """
    ALTER TABLE experiment ADD CONSTRAINT experiment_live
        FOREIGN KEY (key, live_version) REFERENCES experiment_version (key, version)
    """,
    # Of what was published: the buckets of its layer and those of its arms, as [low, high) and
    # [low, high, arm); when its phase began and when it was over; what was called first.
    """
    CREATE TABLE experiment_state (
        experiment text PRIMARY KEY REFERENCES experiment (key),
        traffic jsonb NOT NULL,
        split jsonb NOT NULL,
        phase integer NOT NULL,
        phase_at timestamptz NOT NULL,
        stopped text[] NOT NULL,
        winner text,
        ended boolean NOT NULL,
        over_at timestamptz,
        called jsonb
    )
    """,
    # The first exposure of a person. `experiment` may be a node of a journey (`journey/node`), the
    # holdout of one (`journey/`), or another holdout (`rule:salt`, `universal:salt`).
    """
    CREATE TABLE exposure (
        profile_id uuid NOT NULL,
        experiment text NOT NULL,
        arm text NOT NULL,
        phase integer NOT NULL,
        at timestamptz NOT NULL,
        seq bigint NOT NULL,
        of uuid NOT NULL,
        version integer NOT NULL,
        kind text NOT NULL CHECK (kind IN ('rule', 'journey', 'node', 'touchpoint')),
        place text NOT NULL,
        node text,
        mixed boolean NOT NULL,
        PRIMARY KEY (profile_id, experiment)
    )
    """,
    "CREATE INDEX exposure_of ON exposure (experiment, phase, at)",
    "CREATE INDEX exposure_in_time ON exposure (at)",
    """
    CREATE TABLE experiment_outcome (
        profile_id uuid NOT NULL,
        experiment text NOT NULL,
        metric text NOT NULL,
        touchpoint_id uuid NOT NULL,
        of uuid NOT NULL,
        seq bigint NOT NULL,
        at timestamptz NOT NULL,
        value double precision NOT NULL,
        PRIMARY KEY (profile_id, experiment, metric, touchpoint_id)
    )
    """,
    "CREATE INDEX experiment_outcome_in_time ON experiment_outcome (at)",
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
