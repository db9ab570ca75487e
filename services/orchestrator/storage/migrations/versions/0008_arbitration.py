"""Arbitration: candidates that wait, scarce resources, what is learned, and what decisions saw."""

from alembic import op

from shared.postgres.tables import VACUUM_OFTEN

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

OFTEN = ", ".join(f"{name} = {value}" for name, value in VACUUM_OFTEN.items())

CHANGES = (
    # The candidates of a touchpoint that wait for the end of an arbitration window.
    f"""
    CREATE TABLE held_candidate (
        profile_id uuid NOT NULL,
        touchpoint_id uuid NOT NULL,
        of uuid NOT NULL,
        held_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        occurred_at timestamptz NOT NULL,
        rules text[] NOT NULL,
        cause bytea NOT NULL,
        PRIMARY KEY (profile_id, touchpoint_id)
    ) WITH ({OFTEN})
    """,
    # Scarce resources are live as soon as they are saved; each save is a version.
    """
    CREATE TABLE resource (
        key text PRIMARY KEY,
        body jsonb NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL
    )
    """,
    """
    CREATE TABLE resource_version (
        key text NOT NULL REFERENCES resource (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        saved_at timestamptz NOT NULL,
        saved_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    # Whoever decides about something that takes of a resource holds its row.
    "CREATE TABLE resource_turn (resource text PRIMARY KEY)",
    f"""
    CREATE TABLE resource_window (
        resource text NOT NULL,
        starts_at timestamptz NOT NULL,
        used double precision NOT NULL,
        PRIMARY KEY (resource, starts_at)
    ) WITH (fillfactor = 50, {OFTEN})
    """,
    """
    CREATE TABLE resource_use (
        action_id uuid NOT NULL,
        resource text NOT NULL,
        profile_id uuid NOT NULL,
        starts_at timestamptz NOT NULL,
        amount double precision NOT NULL,
        PRIMARY KEY (action_id, resource)
    ) WITH (fillfactor = 90)
    """,
    "CREATE INDEX resource_use_of_profile ON resource_use (profile_id)",
    # What one of a resource is worth, as of an instant; `seen` was used in the window by then.
    """
    CREATE TABLE resource_price (
        resource text PRIMARY KEY,
        price double precision NOT NULL,
        at timestamptz NOT NULL,
        starts_at timestamptz NOT NULL,
        seen double precision NOT NULL
    )
    """,
    # How often an action was shown to people of a persona on a channel, and how often taken.
    f"""
    CREATE TABLE propensity (
        rule text NOT NULL,
        channel text NOT NULL,
        persona text NOT NULL,
        shown bigint NOT NULL,
        taken bigint NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (rule, channel, persona)
    ) WITH (fillfactor = 50, {OFTEN})
    """,
    "CREATE INDEX propensity_changed ON propensity (changed_at)",
    # `counted`: 0 not yet, 1 as a no, 2 as a yes.
    """
    ALTER TABLE action
        ADD COLUMN persona text NOT NULL DEFAULT '',
        ADD COLUMN counted smallint NOT NULL DEFAULT 0
    """,
    """
    CREATE INDEX action_to_count ON action (expires_at)
     WHERE counted = 0 AND status IN ('published', 'done')
    """,
    # What a decision with candidates saw, compressed, to give the same answer again.
    """
    CREATE TABLE replay_input (
        decision_id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        body bytea NOT NULL
    )
    """,
    "CREATE INDEX replay_input_of_profile ON replay_input (profile_id)",
    "ALTER TABLE replay_input ALTER COLUMN body SET STORAGE EXTERNAL",
)


def upgrade() -> None:
    """Add the tables and the columns."""
    for statement in CHANGES:
        op.execute(statement)
