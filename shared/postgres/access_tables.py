"""The tables of access, which every service with an API keeps in its own schema.

`api_token`: who may call, by the hash of a secret. `audit_log`: every write, who, when, what it
was before and after. Rows of `audit_log` are only ever added: a trigger refuses the rest.
"""

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

APPEND_ONLY = (
    """
CREATE OR REPLACE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$
""",
    """
CREATE OR REPLACE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()
""",
)


def access_tables(metadata: MetaData) -> list[Table]:
    """Declare both tables in `metadata` and return them in the order of creation.

    Creating `audit_log`, by `create_all` or alone, adds its trigger and the trigger's function;
    dropping it leaves the function `audit_log_is_append_only()`.
    """
    api_token = Table(
        "api_token",
        metadata,
        Column("id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("roles", ARRAY(Text), nullable=False),
        Column("secret_sha256", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Column("created_by", Text, nullable=False),
        Column("expires_at", DateTime(timezone=True)),
        Column("revoked_at", DateTime(timezone=True)),
        CheckConstraint("octet_length(secret_sha256) = 32", name="api_token_hash"),
        CheckConstraint("cardinality(roles) > 0", name="api_token_has_role"),
    )
    audit_log = Table(
        "audit_log",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Column("who", Text, nullable=False),
        Column("who_name", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("before", JSONB),
        Column("after", JSONB),
    )
    Index("audit_log_subject", audit_log.c.kind, audit_log.c.key, audit_log.c.id)
    for statement in APPEND_ONLY:
        event.listen(audit_log, "after_create", DDL(statement))  # type: ignore[no-untyped-call]  # left without types
    return [api_token, audit_log]
