"""One transaction, opened in one place; and the name for a database that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
from sqlalchemy import TextClause
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import Infrastructure

TRANSIENT_STATES = ("08", "40", "53", "57", "58")
"""SQLSTATE classes that say nothing about the data: connection, rollback (serialisation,
deadlock), resources, operator intervention, system error."""
TRANSIENT_CODES = frozenset({"55P03", "25P03"})
"""Lock not available; idle-in-transaction timeout."""


class Tx(Protocol):
    """What a statement is executed on: a connection of SQLAlchemy's, or one of `direct`."""

    async def execute(self, statement: TextClause, parameters: Any = None, /) -> Any:
        """The rows: to be iterated over, or `all()`, `one()` or `scalars()` of them."""


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Commit at the end of the block, roll back if it raises.

    Raises Infrastructure when PostgreSQL is away, ended the connection or asks for another try.
    """
    with database_errors():
        async with engine.begin() as connection:
            yield connection


def autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for `statement`: each statement commits by itself, in one round trip."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def statement(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """For one statement that is a transaction of its own; `engine` comes from `autocommit`.

    Raises as `transaction` does.
    """
    with database_errors():
        async with engine.connect() as connection:
            yield connection


class database_errors:  # noqa: N801  a context manager that reads like a statement
    """Turns the driver's transient failures into Infrastructure; everything else passes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and is_transient(error):
            raise Infrastructure("postgres", f"{type(error).__name__}: {error}") from error


def is_transient(error: BaseException) -> bool:
    """Whether trying the same thing again later can succeed without anybody changing the data."""
    if isinstance(error, DBAPIError):
        original = error.orig
        state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
        if error.connection_invalidated or _is_transient_state(state):
            return True
        return original is not None and _is_connection_loss(
            original.__cause__ if original.__cause__ is not None else original
        )
    return _is_connection_loss(error)


def _is_transient_state(state: str | None) -> bool:
    return state is not None and (state[:2] in TRANSIENT_STATES or state in TRANSIENT_CODES)


def _is_connection_loss(error: BaseException) -> bool:
    if isinstance(error, asyncpg.PostgresError):
        return _is_transient_state(error.sqlstate)
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    return isinstance(
        error,
        OSError
        | asyncio.TimeoutError
        | PoolTimeoutError
        | asyncpg.InterfaceError
        | asyncpg.InternalClientError
        | asyncpg.exceptions.ConnectionDoesNotExistError,
    )
