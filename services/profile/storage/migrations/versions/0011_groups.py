"""Households, accounts and static lists: who belongs to them, and what is on its way to members."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHANGES = (
    """
    CREATE TABLE linked_group (
        id uuid PRIMARY KEY,
        kind text NOT NULL CHECK (kind IN ('household', 'account')),
        type text NOT NULL,
        value text NOT NULL,
        traits bytea,
        version bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE group_member (
        group_id uuid NOT NULL,
        profile_id uuid NOT NULL,
        PRIMARY KEY (group_id, profile_id)
    )
    """,
    "CREATE INDEX group_member_profile ON group_member (profile_id)",
    """
    CREATE TABLE group_news (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        group_id uuid NOT NULL
    )
    """,
    """
    CREATE TABLE group_job (
        group_id uuid PRIMARY KEY,
        waiting boolean NOT NULL,
        again boolean NOT NULL,
        position uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        passed bigint NOT NULL DEFAULT 0,
        -- Real time, not the deployment's clock: how soon large groups may be gone through again.
        due_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX group_job_due ON group_job (due_at) WHERE waiting",
    """
    CREATE TABLE list_upload (
        id uuid PRIMARY KEY,
        list text NOT NULL,
        rows text[],
        "of" integer NOT NULL,
        status text NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'running', 'done', 'failed')),
        examined integer NOT NULL DEFAULT 0,
        changed integer NOT NULL DEFAULT 0,
        unresolved integer NOT NULL DEFAULT 0,
        problems jsonb NOT NULL DEFAULT '[]',
        uploaded_by text NOT NULL,
        uploaded_by_name text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        finished_at timestamptz,
        error text
    )
    """,
    "CREATE INDEX list_upload_open ON list_upload (created_at, id) WHERE finished_at IS NULL",
    "CREATE INDEX list_upload_of ON list_upload (list, created_at DESC, id DESC)",
    """
    CREATE TABLE list_member (
        list text NOT NULL,
        profile_id uuid NOT NULL,
        PRIMARY KEY (list, profile_id)
    )
    """,
    "CREATE INDEX list_member_profile ON list_member (profile_id)",
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
