"""The tables of groups and static lists.

`linked_group` a household or an account; `traits` are encoded words on its traits
`group_member` who belongs to it now; derived from the profiles, which hold what was said
`group_news`   groups whose members or traits changed, to be taken to the members
`group_job`    one row for each group that ever had news: how far it has come
`list_member`  who is on a static list now; derived from the profiles
`list_upload`  files of members, and how far each has come
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
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

_NIL = "00000000-0000-0000-0000-000000000000"
_NOW = text("clock_timestamp()")


def group_tables(metadata: MetaData) -> None:
    """Add the tables to the metadata."""
    Table(
        "linked_group",
        metadata,
        Column("id", UUID, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("value", Text, nullable=False),
        Column("traits", LargeBinary),
        Column("version", BigInteger, nullable=False, server_default=text("0")),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    member = Table(
        "group_member",
        metadata,
        Column("group_id", UUID, nullable=False),
        Column("profile_id", UUID, nullable=False),
        PrimaryKeyConstraint("group_id", "profile_id"),
    )
    Index("group_member_profile", member.c.profile_id)
    Table(
        "group_news",
        metadata,
        Column("number", BigInteger, Identity(always=True), primary_key=True),
        Column("group_id", UUID, nullable=False),
    )
    job = Table(
        "group_job",
        metadata,
        Column("group_id", UUID, primary_key=True),
        Column("waiting", Boolean, nullable=False),
        Column("again", Boolean, nullable=False),
        Column("position", UUID, nullable=False, server_default=text(f"'{_NIL}'")),
        Column("passed", BigInteger, nullable=False, server_default=text("0")),
        Column("due_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    Index("group_job_due", job.c.due_at, postgresql_where=job.c.waiting)
    _lists(metadata)


def _lists(metadata: MetaData) -> None:
    upload = Table(
        "list_upload",
        metadata,
        Column("id", UUID, primary_key=True),
        Column("list", Text, nullable=False),
        Column("rows", ARRAY(Text)),
        Column("of", Integer, nullable=False),
        Column("status", Text, nullable=False, server_default=text("'waiting'")),
        Column("examined", Integer, nullable=False, server_default=text("0")),
        Column("changed", Integer, nullable=False, server_default=text("0")),
        Column("unresolved", Integer, nullable=False, server_default=text("0")),
        Column("problems", JSONB, nullable=False, server_default=text("'[]'")),
        Column("uploaded_by", Text, nullable=False),
        Column("uploaded_by_name", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
        Column("finished_at", DateTime(timezone=True)),
        Column("error", Text),
    )
    Index(
        "list_upload_open",
        upload.c.created_at,
        upload.c.id,
        postgresql_where=upload.c.finished_at.is_(None),
    )
    Index("list_upload_of", upload.c.list, upload.c.created_at.desc(), upload.c.id.desc())
    member = Table(
        "list_member",
        metadata,
        Column("list", Text, nullable=False),
        Column("profile_id", UUID, nullable=False),
        PrimaryKeyConstraint("list", "profile_id"),
    )
    Index("list_member_profile", member.c.profile_id)
