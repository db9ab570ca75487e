"""Profiles that were erased: what was forgotten of them; nothing may come of them again."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Mark erased profiles, and keep what was forgotten of each by store."""
    op.execute("ALTER TABLE profile_state ADD COLUMN erased boolean NOT NULL DEFAULT false")
    op.execute(
        """
        CREATE TABLE erased_profile (
            profile_id uuid PRIMARY KEY,
            erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            counts jsonb NOT NULL
        )
        """
    )
