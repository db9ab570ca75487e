"""Answers that are kept: what somebody who asked for a slot was told, until it changes."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHANGES = (
    # One row for each slot of a person, or of somebody unknown: then `profile_id` is a keyed hash
    # of the identifier, and the row is all that is known by it. `body` is what was answered.
    """
    CREATE TABLE slot_answer (
        profile_id uuid NOT NULL,
        slot text NOT NULL,
        decision_id uuid NOT NULL,
        action_id uuid,
        rule text,
        version bigint NOT NULL,
        epoch bigint NOT NULL,
        at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (profile_id, slot),
        CHECK (action_id IS NULL OR rule IS NOT NULL)
    ) WITH (fillfactor = 85)
    """,
    "CREATE INDEX slot_answer_of_action ON slot_answer (action_id) WHERE action_id IS NOT NULL",
    "CREATE INDEX slot_answer_expiry ON slot_answer (expires_at)",
)


def upgrade() -> None:
    """Add the table."""
    for statement in CHANGES:
        op.execute(statement)
