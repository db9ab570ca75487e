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
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
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

link_run = Table(
    "link_run",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("threshold", Double, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_by_name", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("phase", Text),
    Column("profiles", BigInteger, nullable=False, server_default=text("0")),
    Column("pairs", BigInteger, nullable=False, server_default=text("0")),
    Column("suggestions", BigInteger, nullable=False, server_default=text("0")),
    Column("problem", Text),
    Column("member", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("claimed_until", DateTime(timezone=True)),
)

link_suggestion = Table(
    "link_suggestion",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("profile_a", UUID, nullable=False),
    Column("profile_b", UUID, nullable=False),
    Column("score", Double, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'open'")),
    Column("run", BigInteger, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
)
Index("link_suggestion_score", link_suggestion.c.score.desc(), link_suggestion.c.id.desc())
Index("link_suggestion_profile_b", link_suggestion.c.profile_b)

link_verdict = Table(
    "link_verdict",
    metadata,
    Column("suggestion_id", UUID, primary_key=True),
    Column("profile_a", UUID, nullable=False),
    Column("profile_b", UUID, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("merge_id", UUID),
    Column("who", Text, nullable=False),
    Column("who_name", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
