"""The one way to connect to PostgreSQL: an engine whose search path is the service's own schema."""

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from shared.observability.metrics import DB_POOL_IN_USE

IDLE_IN_TRANSACTION_MS = 10_000
"""A frozen process must not hold its row locks longer than this."""
STATEMENT_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 40
"""Longer than the server's own limit; for a server that says nothing at all any more."""


def create_engine(url: str, *, schema: str, application: str, pool_size: int = 5) -> AsyncEngine:
    """An engine for `postgresql://…`; connections are opened on first use.

    `schema` becomes the search path, `application` the name shown in `pg_stat_activity`. Errors do
    not show the parameters of their statement: these are what publishers sent, and errors are
    logged.
    """
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": COMMAND_TIMEOUT_S,
            "server_settings": {
                "search_path": schema,
                "application_name": application,
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
            },
        },
    )
    pool = engine.pool
    if isinstance(pool, QueuePool):
        DB_POOL_IN_USE.set_function(pool.checkedout)
    return engine


async def ping(engine: AsyncEngine) -> None:
    """Raises when PostgreSQL does not answer."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
