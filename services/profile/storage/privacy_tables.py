"""The tables of privacy: requests, what is being erased, and who must not come back.

`privacy_request`  access, rectification, erasure: how far each has come, and its receipt
`privacy_subject`  the identifiers of people who are just being erased; empty once that is done
`privacy_export`   the parts of an access document, until it expires
`suppression`      keyed hashes of erased identifiers
`erased_profile`   ids of erased profiles, which stay gone
`erasure_epoch`    one row: how many erasures there were, and when the latest one was
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
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


def privacy_tables(metadata: MetaData) -> None:
    """Declare them."""
    _requests(metadata)
    _suppressed(metadata)


def _requests(metadata: MetaData) -> None:
    privacy_request = Table(
        "privacy_request",
        metadata,
        Column("id", UUID, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("profiles", ARRAY(UUID), nullable=False),
        Column("family", ARRAY(UUID)),
        Column("evidence_until", BigInteger),
        Column("suppress", Boolean, nullable=False, server_default=text("false")),
        Column("status", Text, nullable=False, server_default=text("'pending'")),
        Column("phase", Text, nullable=False, server_default=text("'begin'")),
        Column("position", Text, nullable=False, server_default=text("''")),
        Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
        Column("requested_by", Text, nullable=False),
        Column("requested_by_name", Text, nullable=False),
        Column("requested_at", DateTime(timezone=True), nullable=False),
        Column("started_at", DateTime(timezone=True)),
        Column("erased_at", DateTime(timezone=True)),
        Column("finished_at", DateTime(timezone=True)),
        Column("retry_at", DateTime(timezone=True)),
        Column("expires_at", DateTime(timezone=True)),
        Column("problem", Text),
        Column("receipt", JSONB),
    )
    Index(
        "privacy_request_open",
        privacy_request.c.requested_at,
        privacy_request.c.id,
        postgresql_where=privacy_request.c.finished_at.is_(None),
    )
    Index(
        "privacy_request_newest", privacy_request.c.requested_at.desc(), privacy_request.c.id.desc()
    )
    Table(
        "privacy_subject",
        metadata,
        Column("request_id", UUID, ForeignKey("privacy_request.id"), nullable=False),
        Column("identifier_id", UUID, nullable=False),
        Column("type", Text, nullable=False),
        Column("value", Text, nullable=False),
        Column("name", Text),
        Column("held", Boolean, nullable=False),
        PrimaryKeyConstraint("request_id", "identifier_id"),
    )
    Table(
        "privacy_export",
        metadata,
        Column("request_id", UUID, ForeignKey("privacy_request.id"), nullable=False),
        Column("part", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
        PrimaryKeyConstraint("request_id", "part"),
    )


def _suppressed(metadata: MetaData) -> None:
    Table(
        "suppression",
        metadata,
        Column("hash", LargeBinary, primary_key=True),
        Column("erased_at", DateTime(timezone=True), nullable=False),
        Column("always", Boolean, nullable=False),
    )
    Table(
        "erased_profile",
        metadata,
        Column("id", UUID, primary_key=True),
        Column("request_id", UUID, nullable=False),
        Column("erased_at", DateTime(timezone=True), nullable=False),
    )
    Table(
        "erasure_epoch",
        metadata,
        Column("only_row", Boolean, primary_key=True, server_default=text("true")),
        Column("epoch", BigInteger, nullable=False),
        Column("newest", DateTime(timezone=True)),
        Column("always", Boolean, nullable=False),
    )
