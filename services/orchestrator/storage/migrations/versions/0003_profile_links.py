"""A profile that was merged away may come back: what was said last of it holds."""

from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the number of the update that last joined a profile to another one, or parted them."""
    op.execute("ALTER TABLE profile_state ADD COLUMN link_seq bigint NOT NULL DEFAULT 0")
