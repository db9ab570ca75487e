"""The tables of consents: their history, and what a deployment declares about them."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID


def consent_tables(metadata: MetaData) -> None:
    """Add them to the metadata."""
    change = Table(
        "consent_change",
        metadata,
        Column("id", UUID, primary_key=True),
        Column("profile_id", UUID, nullable=False),
        Column("anchor", UUID),
        Column("purpose", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("what", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("basis", Text),
        Column("text_version", Text),
        Column("expires_at", DateTime(timezone=True)),
        Column("proof", JSONB, nullable=False),
        Column(
            "recorded_at", DateTime(timezone=True), nullable=False, server_default=text("now()")
        ),
    )
    newest = (change.c.at.desc(), change.c.id.desc())
    Index(
        "consent_change_anchor",
        change.c.anchor,
        *newest,
        postgresql_where=text("anchor IS NOT NULL"),
    )
    Index(
        "consent_change_profile",
        change.c.profile_id,
        *newest,
        postgresql_where=text("anchor IS NULL"),
    )
    for kind in ("consent_purpose", "opt_out_rules"):
        _drafts(metadata, kind)


def _drafts(metadata: MetaData, kind: str) -> None:
    Table(
        kind,
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
    Table(
        f"{kind}_version",
        metadata,
        Column("key", Text, ForeignKey(f"{kind}.key"), primary_key=True),
        Column("version", Integer, primary_key=True),
        Column("body", JSONB, nullable=False),
        Column("published_at", DateTime(timezone=True), nullable=False),
        Column("published_by", Text, nullable=False),
    )
