"""The tables of schema `profile`, as the newest revision leaves them.

The revisions in `migrations/` are what creates them; a test compares the two.

`profile`              one row for each person; `state` is an encoded ProfileState
`identifier`           (type, value) -> profile; `id` is derived from type and value
`touchpoint`           deduplication and history in one; `anchor` is the identifier it hangs on
`touchpoint_duplicate` other raw records that carried the id of a touchpoint
`touchpoint_counter`   how many of a source were applied and came again, in shards
`merge`                which profile went into which, why, and which identifiers moved
"""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from shared.postgres.access_tables import access_tables
from shared.postgres.tables import stream_tables

SCHEMA = "profile"
MIGRATIONS = Path(__file__).parent / "migrations"

metadata = MetaData()
stream_tables(metadata)
access_tables(metadata)

profile = Table(
    "profile",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("status", Text, nullable=False),
    Column("merged_into", UUID),
    Column("seq", BigInteger, nullable=False),
    Column("n_merges", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("last_seen_at", DateTime(timezone=True), nullable=False),
)

identifier = Table(
    "identifier",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("type", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("profile_id", UUID, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'active'")),
)

touchpoint = Table(
    "touchpoint",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("anchor", UUID),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("raw_topic", Text, nullable=False),
    Column("raw_partition", Integer, nullable=False),
    Column("raw_offset", BigInteger, nullable=False),
    Column("reason", Text),
    Column("body", LargeBinary, nullable=False),
    Column("batch", BigInteger),
    postgresql_partition_by="HASH (id)",
)
Index(
    "touchpoint_timeline",
    touchpoint.c.anchor,
    touchpoint.c.occurred_at.desc(),
    touchpoint.c.id.desc(),
)

touchpoint_duplicate = Table(
    "touchpoint_duplicate",
    metadata,
    Column("id", UUID, nullable=False),
    Column("raw_topic", Text, nullable=False),
    Column("raw_partition", Integer, nullable=False),
    Column("raw_offset", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("id", "raw_topic", "raw_partition", "raw_offset"),
)

touchpoint_counter = Table(
    "touchpoint_counter",
    metadata,
    Column("source", Text, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    PrimaryKeyConstraint("source", "shard"),
)

merge = Table(
    "merge",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("winner", UUID, nullable=False),
    Column("loser", UUID, nullable=False),
    Column("winner_seq", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("cause", JSONB, nullable=False),
    Column("moved", ARRAY(UUID), nullable=False),
    Column("before", JSONB, nullable=False),
    Column("undone_at", DateTime(timezone=True)),
)
Index("merge_winner", merge.c.winner, merge.c.winner_seq)
Index("merge_loser", merge.c.loser)

Sequence("batch_id", metadata=metadata)

evidence = Table(
    "evidence",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("batch", BigInteger, unique=True),
    Column("rules", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("touchpoints", ARRAY(UUID)),
    Column("profiles", ARRAY(UUID)),
    Column("notes", LargeBinary),
    Column("decision", LargeBinary),
)

cannot_link = Table(
    "cannot_link",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("one", UUID, nullable=False),
    Column("other", UUID, nullable=False),
    Column("cause", Text, nullable=False),
    Column("cause_id", UUID, nullable=False),
    Column("why", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("removed_at", DateTime(timezone=True)),
    Column("removed_by", Text),
)
Index(
    "cannot_link_pair",
    cannot_link.c.one,
    cannot_link.c.other,
    unique=True,
    postgresql_where=cannot_link.c.removed_at.is_(None),
)
Index("cannot_link_other", cannot_link.c.other)

identity_rules = Table(
    "identity_rules",
    metadata,
    Column("key", Text, primary_key=True),
    Column("draft", JSONB, nullable=False),
    Column("draft_version", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("live_version", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("updated_by", Text, nullable=False),
)

identity_rules_version = Table(
    "identity_rules_version",
    metadata,
    Column("key", Text, ForeignKey("identity_rules.key"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("published_by", Text, nullable=False),
)

config_epoch = Table(
    "config_epoch",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", BigInteger, nullable=False),
)
