"""Caps over everybody of a household: which one a contact was with, and whose turn it is."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = (
    "ALTER TABLE contact_ledger ADD COLUMN household uuid",
    """
    CREATE INDEX contact_ledger_of_household ON contact_ledger (household, at)
     WHERE household IS NOT NULL
    """,
    # One row for each household that a cap was asked about: who decides holds it.
    "CREATE TABLE household_turn (household uuid PRIMARY KEY)",
)


def upgrade() -> None:
    """Add the column and the table."""
    for statement in CHANGES:
        op.execute(statement)
