"""Who may do what in the database: one login and one schema for each service, and the clock.

Works on any cluster (PostgreSQL 18 or newer) given the URL of a database's owner that may create
roles; running it again changes nothing. A service's login owns its schema, can use the clock, and
sees nothing else. Never makes a service's tables: its own migrations do.
"""

from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from deploy.local.errors import StackError
from deploy.local.home import secret

SERVICES = ("ingest", "profile", "orchestrator")
OLDEST_SERVER = 180000

# Volatile on purpose: the clock goes on inside a transaction and inside a statement, like
# clock_timestamp(). So that a query reads it once and can use an index, compare with
# `(SELECT clock.now())`.
PRODUCTION_CLOCK = """
CREATE OR REPLACE FUNCTION clock.now() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE SECURITY DEFINER
    RETURN pg_catalog.clock_timestamp();
DROP FUNCTION IF EXISTS clock.advance(interval);
DROP FUNCTION IF EXISTS clock.reset();
DROP TABLE IF EXISTS clock.shift;
"""

TEST_CLOCK = """
CREATE TABLE IF NOT EXISTS clock.shift (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    advance interval NOT NULL DEFAULT '0' CHECK (advance >= '0')
);
INSERT INTO clock.shift DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION clock.now() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE SECURITY DEFINER
    RETURN pg_catalog.clock_timestamp() + (SELECT s.advance FROM clock.shift s);
CREATE OR REPLACE FUNCTION clock.advance(step interval) RETURNS timestamptz
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        UPDATE clock.shift SET advance = shift.advance + step;
        SELECT clock.now();
    END;
CREATE OR REPLACE FUNCTION clock.reset() RETURNS timestamptz
    LANGUAGE sql VOLATILE SECURITY DEFINER
    BEGIN ATOMIC
        UPDATE clock.shift SET advance = '0';
        SELECT clock.now();
    END;
"""


def role_name(service: str) -> str:
    """The login of a service."""
    return f"concert_{service}"


def role_url(owner_url: str, credentials: Path, service: str) -> str:
    """The URL with which a service reaches the database of `owner_url`."""
    password = secret(credentials / role_name(service))
    url = make_url(owner_url).set(username=role_name(service), password=password)
    return url.render_as_string(hide_password=False)


async def ensure_roles(
    owner_url: str, credentials: Path, *, shiftable_clock: bool
) -> dict[str, str]:
    """Make logins, schemas, clock and rights; the URL of each service.

    `shiftable_clock` is for a test deployment: its clock can be advanced. Without it, the clock is
    the server's and nothing can shift it. Raises StackError when the owner cannot do this.
    """
    connection = await connect(owner_url)
    try:
        if connection.get_server_version()[0] * 10000 < OLDEST_SERVER:
            raise StackError(f"PostgreSQL {OLDEST_SERVER // 10000} or newer is needed")
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('concert.roles'))")
            for service in SERVICES:
                await _ensure_login(connection, owner_url, credentials, service)
            await _ensure_schemas(connection)
            await _ensure_clock(connection, shiftable=shiftable_clock)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StackError(
            f"the owner in CONCERT_DATABASE_URL must own its database and have CREATEROLE ({error})"
        ) from error
    finally:
        await connection.close()
    return {service: role_url(owner_url, credentials, service) for service in SERVICES}


async def connect(url: str) -> asyncpg.Connection:
    """A connection, or a StackError that says which server did not let us in (no password)."""
    try:
        return await asyncpg.connect(url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise StackError(f"cannot connect to {shown}: {error}") from error


async def _ensure_login(
    connection: asyncpg.Connection, owner_url: str, credentials: Path, service: str
) -> None:
    name = role_name(service)
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    if not exists:
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    if not exists or not await _lets_in(role_url(owner_url, credentials, service)):
        # The server quotes the password; a statement that sets one takes no parameters.
        statement = await connection.fetchval(
            "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)",
            name,
            secret(credentials / name),
        )
        await connection.execute(statement)
    if not await connection.fetchval("SELECT pg_has_role(current_user, $1::name, 'USAGE')", name):
        # The owner looks after every schema; the services cannot see each other's.
        await connection.execute(f"GRANT {name} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")


async def _lets_in(url: str) -> bool:
    """Whether this login works now. It may lack only the right to this database, given below."""
    try:
        await (await asyncpg.connect(url, timeout=10)).close()
    except asyncpg.InsufficientPrivilegeError:
        return True
    except asyncpg.InvalidAuthorizationSpecificationError:  # also a wrong password
        return False
    return True


async def _ensure_schemas(connection: asyncpg.Connection) -> None:
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for service in SERVICES:
        name = role_name(service)
        await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {name}")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {name}")


async def _ensure_clock(connection: asyncpg.Connection, *, shiftable: bool) -> None:
    await connection.execute("CREATE SCHEMA IF NOT EXISTS clock")
    await connection.execute(TEST_CLOCK if shiftable else PRODUCTION_CLOCK)
    await connection.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA clock FROM PUBLIC")
    for service in SERVICES:
        name = role_name(service)
        await connection.execute(f"GRANT USAGE ON SCHEMA clock TO {name}")
        await connection.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA clock TO {name}")
