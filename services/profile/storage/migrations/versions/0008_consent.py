"""Consents: their history, declared purposes, and how customers opt out."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _drafts(kind: str) -> tuple[str, str]:
    return (
        f"""
        CREATE TABLE {kind} (
            key text PRIMARY KEY,
            draft jsonb NOT NULL,
            draft_version bigint NOT NULL,
            status text NOT NULL CHECK (status IN ('draft', 'live', 'paused', 'archived')),
            live_version integer,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            updated_by text NOT NULL
        )
        """,
        f"""
        CREATE TABLE {kind}_version (
            key text NOT NULL REFERENCES {kind} (key),
            version integer NOT NULL CHECK (version > 0),
            body jsonb NOT NULL,
            published_at timestamptz NOT NULL,
            published_by text NOT NULL,
            PRIMARY KEY (key, version)
        )
        """,
    )


CHANGES = (
    """
    CREATE TABLE consent_change (
        id uuid PRIMARY KEY,
        profile_id uuid NOT NULL,
        anchor uuid,
        purpose text NOT NULL,
        channel text NOT NULL,
        what text NOT NULL CHECK (what IN ('granted', 'denied', 'confirmed', 'expired')),
        status text NOT NULL CHECK (status IN ('granted', 'pending', 'denied', 'expired')),
        at timestamptz NOT NULL,
        basis text,
        text_version text,
        expires_at timestamptz,
        proof jsonb NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX consent_change_anchor ON consent_change (anchor, at DESC, id DESC)"
    " WHERE anchor IS NOT NULL",
    "CREATE INDEX consent_change_profile ON consent_change (profile_id, at DESC, id DESC)"
    " WHERE anchor IS NULL",
    *_drafts("consent_purpose"),
    *_drafts("opt_out_rules"),
)


def upgrade() -> None:
    """Add the tables."""
    for statement in CHANGES:
        op.execute(statement)
