"""Journeys as they are drafted, published and in force, and when scheduled ones let people in."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE journey (
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
    CREATE TABLE journey_version (
        key text NOT NULL REFERENCES journey (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    """
    ALTER TABLE journey ADD CONSTRAINT journey_live
        FOREIGN KEY (key, live_version) REFERENCES journey_version (key, version)
    """,
    # Of what was published once. `enters_from` is the first version that may let people in since
    # it went live; `winners` has the arm of an experiment by its node.
    """
    CREATE TABLE journey_state (
        journey text PRIMARY KEY REFERENCES journey (key),
        enters_from integer NOT NULL,
        winners jsonb NOT NULL DEFAULT '{}'
    )
    """,
    # The event leaves of every version; one that has a leaf that is not ready is in force nowhere.
    """
    CREATE TABLE journey_leaf (
        journey text NOT NULL,
        version integer NOT NULL,
        hash text NOT NULL,
        leaf jsonb NOT NULL,
        ready boolean NOT NULL,
        PRIMARY KEY (journey, version, hash),
        FOREIGN KEY (journey, version) REFERENCES journey_version (key, version)
    )
    """,
    "CREATE INDEX journey_leaf_unready ON journey_leaf (hash) WHERE NOT ready",
    # As `rule_schedule`.
    """
    CREATE TABLE journey_schedule (
        journey text PRIMARY KEY,
        version integer NOT NULL,
        due_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX journey_schedule_due ON journey_schedule (due_at)",
    # The audience events by which people were let in, newest last.
    """
    CREATE TABLE journey_audience (
        journey text NOT NULL,
        at timestamptz NOT NULL,
        touchpoint_id uuid NOT NULL,
        PRIMARY KEY (journey, at, touchpoint_id)
    )
    """,
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
