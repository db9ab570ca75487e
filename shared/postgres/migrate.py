"""Runs a service's Alembic history inside its own schema.

A service's `storage/migrations/env.py` only calls `run_in_env()`. The connection belongs to the
service's login role, so a migration can touch nothing but the service's schema.
"""

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

LOCK_TIMEOUT = "5s"
"""A migration that cannot have its lock soon gives up instead of queueing everybody behind it."""


async def migrate(
    engine: AsyncEngine, *, folder: Path, schema: str, revision: str = "head"
) -> None:
    """Bring `schema` to the newest revision of the Alembic scripts in `folder`, or to an older one.

    One migration runs at a time; a second caller waits for the first.
    """

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        config.attributes["schema"] = schema
        command.upgrade(config, revision)

    async with engine.begin() as connection:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('concert.migrate.' || :schema))"),
            {"schema": schema},
        )
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        await connection.run_sync(upgrade)


def run_in_env() -> None:
    """What `env.py` does: run the revisions on the connection that `migrate` opened."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        version_table_schema=attributes["schema"],
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
