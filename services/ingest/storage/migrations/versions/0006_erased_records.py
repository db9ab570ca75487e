"""Records that were erased, by the hash of their bytes: they are not kept when they fail again."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE erased_record (
            sha256 bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
            erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )
