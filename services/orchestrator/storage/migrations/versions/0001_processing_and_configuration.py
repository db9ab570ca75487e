"""The tables of the orchestrator: processing state, records, and what people configure.

Processing state is keyed by profile and locked by its `profile_state` row. Configuration keeps one
row for the draft and one immutable row for each published version; every publish bumps
`config_epoch`, which the workers poll.
"""

import sqlalchemy as sa
from alembic import op

from shared.postgres.access_tables import access_tables
from shared.postgres.tables import VACUUM_OFTEN, stream_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DECISION_PARTITIONS = 8

PROCESSING = (
    # The lock row of a profile: one for every profile ever seen, so it has to stay small and its
    # updates have to stay on their page. The snapshot is there only while something is in flight.
    """
    CREATE TABLE profile_state (
        profile_id uuid PRIMARY KEY,
        last_seq bigint NOT NULL,
        merged_into uuid,
        in_flight integer NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
        snapshot bytea,
        CHECK (in_flight = 0 OR snapshot IS NOT NULL),
        -- The smaller id survives a merge; so no chain of aliases can run in a circle.
        CHECK (merged_into < profile_id)
    ) WITH (fillfactor = 70)
    """,
    "ALTER TABLE profile_state ALTER COLUMN snapshot SET STORAGE EXTERNAL",
    """
    CREATE INDEX profile_state_merged ON profile_state (profile_id) INCLUDE (merged_into)
        WHERE merged_into IS NOT NULL
    """,
    """
    CREATE INDEX profile_state_winner ON profile_state (merged_into)
        WHERE merged_into IS NOT NULL
    """,
    """
    CREATE TABLE decision (
        id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        touchpoint_id uuid,
        at timestamptz NOT NULL,
        body bytea NOT NULL
    ) PARTITION BY HASH (id)
    """,
    *(
        f"CREATE TABLE decision_{part} PARTITION OF decision "
        f"FOR VALUES WITH (MODULUS {DECISION_PARTITIONS}, REMAINDER {part})"
        for part in range(DECISION_PARTITIONS)
    ),
    "CREATE INDEX decision_of_profile ON decision (profile_id, at DESC, id)",
    "CREATE INDEX decision_of_touchpoint ON decision (touchpoint_id)",
    # `in_flight`: still to be published, or published and still retractable. Only these keep the
    # cause, which later checks of the engagement policy need.
    """
    CREATE TABLE action (
        action_id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        rule text NOT NULL,
        version integer NOT NULL,
        entry_key text NOT NULL,
        touchpoint_id uuid,
        decision_id uuid NOT NULL,
        channel text NOT NULL,
        category text NOT NULL,
        status text NOT NULL CHECK (status IN
            ('pending', 'published', 'retracted', 'expired', 'failed', 'done')),
        in_flight boolean NOT NULL,
        occurred_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        published_at timestamptz,
        topic text,
        reason text,
        gen integer NOT NULL DEFAULT 0,
        body bytea NOT NULL,
        cause bytea
    ) WITH (fillfactor = 85)
    """,
    "CREATE INDEX action_in_flight ON action (profile_id) WHERE in_flight",
    "CREATE INDEX action_of_profile ON action (profile_id, created_at DESC, action_id)",
    """
    CREATE TABLE contact_ledger (
        action_id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        at timestamptz NOT NULL,
        channel text NOT NULL,
        category text NOT NULL,
        topic text,
        grp text,
        rule text NOT NULL,
        status text NOT NULL CHECK (status IN ('reserved', 'made', 'released'))
    ) WITH (fillfactor = 85)
    """,
    "CREATE INDEX contact_ledger_of_profile ON contact_ledger (profile_id, at)",
    """
    CREATE TABLE rule_entry (
        profile_id uuid NOT NULL,
        rule text NOT NULL,
        entry_key text NOT NULL,
        entered_at timestamptz NOT NULL,
        count integer NOT NULL,
        PRIMARY KEY (profile_id, rule, entry_key)
    ) WITH (fillfactor = 85)
    """,
    # The latest touchpoint of a profile that met an exit criterion: a trigger that occurred
    # earlier but arrives later must not act any more.
    """
    CREATE TABLE exit_mark (
        profile_id uuid NOT NULL,
        criterion text NOT NULL,
        occurred_at timestamptz NOT NULL,
        touchpoint_id uuid NOT NULL,
        PRIMARY KEY (profile_id, criterion)
    ) WITH (fillfactor = 85)
    """,
    f"""
    CREATE TABLE timer (
        due_at timestamptz NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL CHECK (kind IN ('release', 'close')),
        profile_id uuid NOT NULL,
        ref uuid NOT NULL,
        gen integer NOT NULL,
        PRIMARY KEY (due_at, id)
    ) WITH ({", ".join(f"{name} = {value}" for name, value in VACUUM_OFTEN.items())})
    """,
    "CREATE INDEX timer_of_profile ON timer (profile_id)",
)

CONFIGURATION = (
    # Rules and contact policies: a draft is edited freely, `:publish` makes an immutable version.
    *(
        statement
        for kind in ("rule", "contact_policy")
        for statement in (
            f"""
            CREATE TABLE {kind} (
                key text PRIMARY KEY,
                draft jsonb NOT NULL,
                draft_version bigint NOT NULL,
                status text NOT NULL CHECK (status IN ('draft', 'live', 'paused', 'archived')),
                live_version integer,
                created_at timestamptz NOT NULL,
                updated_at timestamptz NOT NULL,
                updated_by text NOT NULL
            )
            """,
            f"""
            CREATE TABLE {kind}_version (
                key text NOT NULL REFERENCES {kind} (key),
                version integer NOT NULL CHECK (version > 0),
                body jsonb NOT NULL,
                published_at timestamptz NOT NULL,
                published_by text NOT NULL,
                PRIMARY KEY (key, version)
            )
            """,
            f"ALTER TABLE {kind} ADD CONSTRAINT {kind}_live FOREIGN KEY (key, live_version) "
            f"REFERENCES {kind}_version (key, version)",
        )
    ),
    # Templates and channels are live as soon as they are saved; each save is a version.
    *(
        statement
        for kind in ("template", "channel")
        for statement in (
            f"""
            CREATE TABLE {kind} (
                key text PRIMARY KEY,
                body jsonb NOT NULL,
                version integer NOT NULL,
                created_at timestamptz NOT NULL,
                updated_at timestamptz NOT NULL,
                updated_by text NOT NULL
            )
            """,
            f"""
            CREATE TABLE {kind}_version (
                key text NOT NULL REFERENCES {kind} (key),
                version integer NOT NULL CHECK (version > 0),
                body jsonb NOT NULL,
                saved_at timestamptz NOT NULL,
                saved_by text NOT NULL,
                PRIMARY KEY (key, version)
            )
            """,
        )
    ),
    """
    CREATE TABLE config_epoch (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        epoch bigint NOT NULL
    )
    """,
    "INSERT INTO config_epoch (epoch) VALUES (1)",
)

TABLES = (
    "timer", "exit_mark", "rule_entry", "contact_ledger", "action", "decision", "profile_state",
    "config_epoch", "channel_version", "channel", "template_version", "template",
)  # fmt: skip


def upgrade() -> None:
    """Create everything, with the tables that every streaming service has."""
    for statement in (*PROCESSING, *CONFIGURATION):
        op.execute(statement)
    shared = sa.MetaData()
    stream_tables(shared)
    access_tables(shared)
    shared.create_all(op.get_bind())
    # A frame lives for milliseconds: compressing it would cost more than all other work on it.
    op.execute("ALTER TABLE outbox ALTER COLUMN frame SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Drop everything; only for tests of the migrations."""
    shared = sa.MetaData()
    stream_tables(shared)
    access_tables(shared)
    shared.drop_all(op.get_bind())
    for kind in ("rule", "contact_policy"):
        op.execute(f"ALTER TABLE {kind} DROP CONSTRAINT {kind}_live")
        op.execute(f"DROP TABLE {kind}_version")
        op.execute(f"DROP TABLE {kind}")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION audit_log_is_append_only()")
