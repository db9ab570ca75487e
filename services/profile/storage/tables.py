"""The tables of schema `profile`, as the newest revision leaves them.

The revisions in `migrations/` are what creates them; a test compares the two.

`profile`              one row for each person; `state` is an encoded ProfileState; `first_last`
                       and `last_first` are the name as it is searched
`identifier`           (type, value) -> profile; `id` is derived from type and value
`touchpoint`           deduplication and history in one; `anchor` is the identifier it hangs on
`touchpoint_duplicate` other raw records that carried the id of a touchpoint
`touchpoint_counter`   how many of a source were applied and came again, in shards
`audience_job`         events that go to an audience, and how far each has come
`merge`                which profile went into which, why, and which identifiers moved
`segment`, `persona`,
`trait`                drafts, with their versions in `…_version`
`definition`           which of them are in force, and since which epoch
`definition_epoch`     counts the changes of what is in force; `floor`: all profiles know that one
`event_stream`         the touchpoints that are counted for event leaves, and how many are kept
`event_leaf`           event leaves that others than segments and personas asked for
`definition_job`       one change on its way to all profiles
`consent_change`       what was said about consents: by whom, where, with which proof; `at` is when
`consent_purpose`, `opt_out_rules` drafts, with their versions in `…_version`
`deadline`             when time alone can change what a profile is a member of
`evidence`             each step that changed who is who, by number: what `verify` goes by
`cannot_link`          pairs of identifiers that never come to one profile again
`identity_rules`       the draft, with its versions in `…_version`; `config_epoch` counts changes
`link_run`             searches for profiles that may be one person; at most one is open
`link_suggestion`      pairs that were found, and `link_verdict` what a person said of them
`export`, `export_part` who asked for whom, how far it has come, and the ids it found
"""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.profile.storage.consent_tables import consent_tables
from services.profile.storage.group_tables import group_tables
from services.profile.storage.privacy_tables import privacy_tables
from shared.postgres.access_tables import access_tables
from shared.postgres.tables import stream_tables

SCHEMA = "profile"
MIGRATIONS = Path(__file__).parent / "migrations"
NIL = "00000000-0000-0000-0000-000000000000"

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
    Column("facts", JSONB),
    Column("computed", JSONB),
    Column("first_last", Text(collation="C")),
    Column("last_first", Text(collation="C")),
)
for name in ("first_last", "last_first"):
    Index(
        f"profile_{name}",
        profile.c[name],
        profile.c.id,
        postgresql_where=(profile.c.status == "active") & (profile.c[name] != ""),
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

Index("identifier_search", func.lower(identifier.c.value.collate("C")))

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

audience_job = Table(
    "audience_job",
    metadata,
    Column("touchpoint_id", UUID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("condition", LargeBinary, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    Column("position", UUID, nullable=False, server_default=text(f"'{NIL}'")),
    Column("until", UUID),
    Column("of", BigInteger),
    Column("examined", BigInteger, nullable=False, server_default=text("0")),
    Column("matched", BigInteger, nullable=False, server_default=text("0")),
    Column("left_out", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "created_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
    ),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("error", Text),
)
Index(
    "audience_job_open",
    audience_job.c.created_at,
    audience_job.c.touchpoint_id,
    postgresql_where=audience_job.c.finished_at.is_(None),
)
Index(
    "audience_job_newest",
    audience_job.c.created_at.desc(),
    audience_job.c.touchpoint_id.desc(),
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


for kind in ("segment", "persona", "trait"):
    Table(
        kind,
        metadata,
        Column("key", Text, primary_key=True),
        Column("draft", JSONB, nullable=False),
        Column("draft_version", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("live_version", Integer),
        ForeignKeyConstraint(
            ["key", "live_version"],
            [f"{kind}_version.key", f"{kind}_version.version"],
            name=f"{kind}_live",
            use_alter=True,
        ),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
        Column("updated_by", Text, nullable=False),
    )
    Table(
        f"{kind}_version",
        metadata,
        Column("key", Text, ForeignKey(f"{kind}.key"), nullable=False),
        Column("version", Integer, nullable=False),
        Column("body", JSONB, nullable=False),
        Column("published_at", DateTime(timezone=True), nullable=False),
        Column("published_by", Text, nullable=False),
        PrimaryKeyConstraint("key", "version"),
    )

definition_epoch = Table(
    "definition_epoch",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("personas_since", BigInteger, nullable=False),
)

definition = Table(
    "definition",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("body", JSONB, nullable=False),
    PrimaryKeyConstraint("kind", "key"),
)

event_stream = Table(
    "event_stream",
    metadata,
    Column("key", Text, primary_key=True),
    Column("keep", Integer, nullable=False),
    Column("since", BigInteger, nullable=False),
)

event_leaf = Table(
    "event_leaf",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
)

definition_job = Table(
    "definition_job",
    metadata,
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    Column(
        "position",
        UUID,
        nullable=False,
        server_default=text("'00000000-0000-0000-0000-000000000000'"),
    ),
    Column("examined", BigInteger, nullable=False, server_default=text("0")),
    Column("of", BigInteger),
    Column("changed", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "created_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
    ),
    Column("finished_at", DateTime(timezone=True)),
    Column("error", Text),
)
Index(
    "definition_job_open",
    definition_job.c.epoch,
    postgresql_where=definition_job.c.finished_at.is_(None),
)
Index(
    "definition_job_of", definition_job.c.kind, definition_job.c.key, definition_job.c.epoch.desc()
)

deadline = Table(
    "deadline",
    metadata,
    Column("profile_id", UUID, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
)
Index("deadline_due", deadline.c.due_at)
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
Index(
    "link_run_open",
    text("(true)"),
    _table=link_run,
    unique=True,
    postgresql_where=link_run.c.status.in_(["queued", "running"]),
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
    UniqueConstraint("profile_a", "profile_b"),
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

export = Table(
    "export",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("condition", JSONB, nullable=False),
    Column("fields", ARRAY(Text), nullable=False),
    Column("format", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    Column("position", UUID, nullable=False, server_default=text(f"'{NIL}'")),
    Column("of", BigInteger),
    Column("examined", BigInteger, nullable=False, server_default=text("0")),
    Column("matched", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "created_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("clock_timestamp()"),
    ),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("error", Text),
    Column("who", Text, nullable=False),
    Column("who_name", Text, nullable=False),
)
Index(
    "export_open", export.c.created_at, export.c.id, postgresql_where=export.c.finished_at.is_(None)
)
Index("export_newest", export.c.created_at.desc(), export.c.id.desc())

export_part = Table(
    "export_part",
    metadata,
    Column("export_id", UUID, ForeignKey("export.id", ondelete="CASCADE"), primary_key=True),
    Column("last", UUID, primary_key=True),
    Column("ids", ARRAY(UUID), nullable=False),
)
consent_tables(metadata)
group_tables(metadata)
privacy_tables(metadata)
