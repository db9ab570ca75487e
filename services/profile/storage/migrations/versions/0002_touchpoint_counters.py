"""How many touchpoints of each source were applied, and how many came again."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGES = (
    # A row is updated by every batch: room on its page keeps that off the index.
    """
    CREATE TABLE touchpoint_counter (
        source text NOT NULL,
        shard integer NOT NULL,
        accepted bigint NOT NULL CHECK (accepted >= 0),
        duplicate bigint NOT NULL CHECK (duplicate >= 0),
        PRIMARY KEY (source, shard)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0)
    """,
    # What was there before counts too. It is read once, whole.
    """
    INSERT INTO touchpoint_counter (source, shard, accepted, duplicate)
    SELECT source, 0, sum(accepted), sum(duplicate)
      FROM (
        SELECT convert_from(body, 'UTF8')::json ->> 'source' AS source, count(*) AS accepted,
               0 AS duplicate
          FROM touchpoint GROUP BY 1
         UNION ALL
        SELECT source, 0, count(*) FROM touchpoint_duplicate GROUP BY 1
      ) AS counted
     GROUP BY source
    """,
)


def upgrade() -> None:
    """Add the table, and fill it with what the history says."""
    for statement in CHANGES:
        op.execute(statement)
