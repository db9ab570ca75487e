"""Rules that count past touchpoints, and when scheduled rules go to their audience next."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CHANGES = (
    # The event leaves of each rule's newest published version.
    """
    CREATE TABLE rule_leaf (
        rule text NOT NULL,
        hash text NOT NULL,
        leaf jsonb NOT NULL,
        ready boolean NOT NULL,
        PRIMARY KEY (rule, hash)
    )
    """,
    "CREATE INDEX rule_leaf_unready ON rule_leaf (hash) WHERE NOT ready",
    # `version` waits for its leaves; `before` is in force until then, if there was one.
    """
    CREATE TABLE rule_warming (
        rule text PRIMARY KEY,
        version integer NOT NULL,
        before integer
    )
    """,
    # `due_at` is the business clock's, and exactly an occurrence of the version's schedule.
    """
    CREATE TABLE rule_schedule (
        rule text PRIMARY KEY,
        version integer NOT NULL,
        due_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX rule_schedule_due ON rule_schedule (due_at)",
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
