"""Events that could not be read, with their original bytes, and the replays of them."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE failed_event (
        id uuid PRIMARY KEY,
        topic text NOT NULL,
        part integer NOT NULL,
        position bigint NOT NULL,
        last_position bigint NOT NULL,
        channel text NOT NULL,
        source text,
        event_id text,
        event_type text,
        received_at timestamptz NOT NULL,
        failed_at timestamptz NOT NULL,
        stage text NOT NULL,
        reason text NOT NULL,
        message text NOT NULL,
        path text,
        fingerprint text NOT NULL,
        key bytea,
        raw bytea,
        size bigint NOT NULL,
        sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
        whole boolean NOT NULL,
        headers bytea NOT NULL,
        status text NOT NULL DEFAULT 'new'
            CHECK (status IN ('new', 'replayed', 'discarded')),
        attempts integer NOT NULL DEFAULT 1,
        replay_id uuid,
        claimed_until timestamptz,
        UNIQUE (topic, part, position)
    )
    """,
    "CREATE INDEX failed_event_newest ON failed_event (failed_at, id)",
    "CREATE INDEX failed_event_group ON failed_event (fingerprint, failed_at, id)",
    "CREATE INDEX failed_event_of_publisher ON failed_event (source, event_id)",
    """
    CREATE TABLE replay (
        id uuid PRIMARY KEY,
        created_at timestamptz NOT NULL DEFAULT now(),
        created_by text NOT NULL
    )
    """,
    "CREATE INDEX replay_age ON replay (created_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in CREATE:
        op.execute(statement)
