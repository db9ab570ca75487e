"""The tracking plan, and which event types and properties were seen."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE event_schema (
        key text PRIMARY KEY,
        draft jsonb NOT NULL,
        draft_version bigint NOT NULL,
        status text NOT NULL CHECK (status IN ('draft', 'live')),
        live_version integer,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL
    )
    """,
    """
    CREATE TABLE event_schema_version (
        key text NOT NULL REFERENCES event_schema (key),
        version integer NOT NULL CHECK (version > 0),
        body jsonb NOT NULL,
        published_at timestamptz NOT NULL,
        published_by text NOT NULL,
        PRIMARY KEY (key, version)
    )
    """,
    """
    ALTER TABLE event_schema ADD CONSTRAINT event_schema_live
        FOREIGN KEY (key, live_version) REFERENCES event_schema_version (key, version)
    """,
    """
    CREATE TABLE discovered_type (
        source text NOT NULL,
        type text NOT NULL,
        first_seen timestamptz NOT NULL,
        last_seen timestamptz NOT NULL,
        count bigint NOT NULL CHECK (count > 0),
        PRIMARY KEY (source, type)
    )
    """,
    """
    CREATE TABLE discovered_property (
        source text NOT NULL,
        type text NOT NULL,
        path text NOT NULL,
        json_type text NOT NULL,
        first_seen timestamptz NOT NULL,
        PRIMARY KEY (source, type, path, json_type),
        FOREIGN KEY (source, type) REFERENCES discovered_type
    )
    """,
)


def upgrade() -> None:
    """Create the tables."""
    for statement in CREATE:
        op.execute(statement)
