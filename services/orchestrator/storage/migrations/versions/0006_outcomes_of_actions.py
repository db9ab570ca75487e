"""What became of actions on their channels, and how much further than publishing they got."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIMER_KINDS = "'release', 'close', 'arbitrate', 'expire', 'retry', 'lease', 'schedule'"

CHANGES = (
    # One row for each delivery event, under the id of its touchpoint: the same event twice is one.
    """
    CREATE TABLE outcome (
        profile_id uuid NOT NULL,
        touchpoint_id uuid NOT NULL,
        action_id uuid NOT NULL,
        outcome text NOT NULL,
        at timestamptz NOT NULL,
        channel text NOT NULL,
        category text NOT NULL,
        topic text,
        grp text,
        rule text NOT NULL,
        PRIMARY KEY (profile_id, touchpoint_id)
    ) WITH (fillfactor = 90)
    """,
    "CREATE INDEX outcome_of_profile ON outcome (profile_id, at)",
    "CREATE INDEX outcome_of_action ON outcome (action_id)",
    # `delivery`: how far the message came; `response`: the last thing that the customer did.
    # A fallback names the action that it stands in for.
    """
    ALTER TABLE action
        ADD COLUMN grp text,
        ADD COLUMN delivery text,
        ADD COLUMN response text,
        ADD COLUMN instead_of uuid
    """,
    "ALTER TABLE timer DROP CONSTRAINT timer_kind_check",
    f"ALTER TABLE timer ADD CONSTRAINT timer_kind_check CHECK (kind IN ({TIMER_KINDS}))",
)


def upgrade() -> None:
    """Add the table and the columns."""
    for statement in CHANGES:
        op.execute(statement)
