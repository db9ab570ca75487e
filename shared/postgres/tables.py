"""The tables of the processing core, which every service keeps in its own schema.

`lease`: one row for each input partition of a consumer group, and for each shard of the outbox.
`member`: the processes that may own leases. `outbox`: messages that are committed with the state
and published by the relay, many messages a row.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

CONSERVATION = "applied + deduped + dead + gaps = next_offset - base_offset"
"""Every offset between base and next is accounted for, in every snapshot of the database."""

VACUUM_OFTEN = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 2000,
    "autovacuum_vacuum_cost_delay": 0,
}


def stream_tables(metadata: MetaData) -> list[Table]:
    """Declare the core's tables in `metadata` and return them in the order of creation."""
    count = {"nullable": False, "server_default": text("0")}
    lease = Table(
        "lease",
        metadata,
        Column("grp", Text, nullable=False),
        Column("topic", Text, nullable=False),
        Column("part", Integer, nullable=False),
        Column("epoch", BigInteger, **count),  # type: ignore[arg-type]
        Column("owner", Text),
        Column("base_offset", BigInteger, **count),  # type: ignore[arg-type]
        Column("next_offset", BigInteger, **count),  # type: ignore[arg-type]
        Column("applied", BigInteger, **count),  # type: ignore[arg-type]
        Column("deduped", BigInteger, **count),  # type: ignore[arg-type]
        Column("dead", BigInteger, **count),  # type: ignore[arg-type]
        Column("gaps", BigInteger, **count),  # type: ignore[arg-type]
        PrimaryKeyConstraint("grp", "topic", "part"),
        CheckConstraint(CONSERVATION, name="lease_conservation"),
        postgresql_with={"fillfactor": 20, **VACUUM_OFTEN},
    )
    member = Table(
        "member",
        metadata,
        Column("grp", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("lease_until", DateTime(timezone=True), nullable=False),
        PrimaryKeyConstraint("grp", "id"),
        postgresql_with={"fillfactor": 20},
    )
    outbox = Table(
        "outbox",
        metadata,
        Column("shard", SmallInteger, nullable=False),
        Column("id", BigInteger, Identity(always=True, cache=1), nullable=False),
        Column("topic", Text, nullable=False),
        Column("part", Integer, nullable=False),
        Column("messages", Integer, nullable=False),
        Column("frame", LargeBinary, nullable=False),
        Column(
            "created_at",
            DateTime(timezone=True),
            nullable=False,
            server_default=text("clock_timestamp()"),
        ),
        PrimaryKeyConstraint("shard", "id"),
        postgresql_with=VACUUM_OFTEN,
    )
    Index("outbox_age", outbox.c.created_at)
    return [lease, member, outbox]
