"""Runs of journeys: where each person stands, what happened on the way, counts, lines."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CHANGES = (
    # `state` is the run as the engine knows it; the columns are what is asked for. `watching`:
    # what happens to the person can still matter to the run. `cause` let the person in. Every step
    # writes the row anew, with its indexes: of a million rows, dead ones are not left to a fifth.
    # The goal was counted at `goal_at`; its event happened at `goal_happened_at`, and what reached
    # the person within `goal_within` before that may have the credit.
    """
    CREATE TABLE journey_run (
        id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        home uuid NOT NULL,
        journey text NOT NULL,
        version integer NOT NULL,
        key text NOT NULL,
        node text,
        occurrence integer NOT NULL,
        status text NOT NULL CHECK (status IN ('active', 'waiting', 'completed', 'exited')),
        reason text,
        entered_at timestamptz NOT NULL,
        since timestamptz,
        wakes_at timestamptz,
        ended_at timestamptz,
        gen integer NOT NULL,
        paused boolean NOT NULL,
        watching boolean NOT NULL,
        goal_at timestamptz,
        goal_happened_at timestamptz,
        goal_within interval,
        state bytea NOT NULL,
        cause bytea NOT NULL
    ) WITH (
        fillfactor = 80,
        autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_limit = 1000
    )
    """,
    "CREATE INDEX journey_run_of_person ON journey_run (profile_id, journey)",
    "CREATE INDEX journey_run_in_order ON journey_run (journey, entered_at, id)",
    "CREATE INDEX journey_run_goal ON journey_run (journey, goal_at) WHERE goal_at IS NOT NULL",
    """
    CREATE INDEX journey_run_under_way ON journey_run (journey, version, node)
        WHERE status IN ('active', 'waiting')
    """,
    "CREATE INDEX journey_run_watched ON journey_run (journey, version) WHERE watching",
    """
    CREATE INDEX journey_run_to_tell ON journey_run (journey, id)
        WHERE status IN ('active', 'waiting')
    """,
    """
    CREATE INDEX journey_run_waking ON journey_run (wakes_at)
        WHERE status IN ('active', 'waiting')
    """,
    """
    CREATE TABLE run_log (
        run uuid NOT NULL,
        n bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL,
        kind text NOT NULL,
        node text,
        occurrence integer NOT NULL,
        word text NOT NULL,
        PRIMARY KEY (run, n)
    )
    """,
    # Only ever added to: nobody waits for a row that all count in. They are summed now and then.
    """
    CREATE TABLE journey_count (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        journey text NOT NULL,
        node text NOT NULL,
        kind text NOT NULL,
        word text NOT NULL,
        day date NOT NULL,
        n bigint NOT NULL
    )
    """,
    "CREATE INDEX journey_count_of ON journey_count (journey)",
    "CREATE INDEX journey_count_by_day ON journey_count (day)",
    """
    CREATE TABLE journey_line (
        journey text NOT NULL,
        node text NOT NULL,
        free_at timestamptz NOT NULL,
        PRIMARY KEY (journey, node)
    )
    """,
    # What all runs of a journey are to be told, by who knows the configuration of the epoch, and
    # how far that is.
    """
    CREATE TABLE run_sweep (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        journey text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('edited', 'resumed', 'stopped')),
        step interval,
        epoch bigint NOT NULL,
        after uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
        done bigint NOT NULL DEFAULT 0,
        not_before timestamptz NOT NULL DEFAULT now()
    )
    """,
    "ALTER TABLE timer DROP CONSTRAINT timer_kind_check",
    """
    ALTER TABLE timer ADD CONSTRAINT timer_kind_check
        CHECK (kind IN ('release', 'close', 'arbitrate', 'expire', 'run', 'resume', 'go_on'))
    """,
    "ALTER TABLE action ADD COLUMN run uuid, ADD COLUMN occurrence integer",
)


def upgrade() -> None:
    """Add the tables and what an action says of its run."""
    for statement in CHANGES:
        op.execute(statement)
