"""`CONCERT_HOME`: where the local stack keeps data, secrets, logs and what is running now.

Secrets are files of mode 600. The folder itself can be passed through (0711) so that PostgreSQL,
which refuses to run as root, reaches its data under an unprivileged account. Never holds code,
and never two running stacks: `exclusive` sees to that.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from shared.access import new_token

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one local stack; `open_home` makes sure that they exist."""

    root: Path

    @property
    def kafka(self) -> Path:
        """Everything of the broker: data, properties, temporary files."""
        return self.root / "kafka"

    @property
    def postgres(self) -> Path:
        """Everything of the database server."""
        return self.root / "postgres"

    @property
    def credentials(self) -> Path:
        """Generated passwords, one file each."""
        return self.root / "credentials"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What is true only while a stack runs: lock, pids, scrape targets."""
        return self.root / "run"


def default_root() -> Path:
    """`CONCERT_HOME`, or `.concert` in the checkout."""
    chosen = os.environ.get("CONCERT_HOME")
    return Path(chosen).expanduser().resolve() if chosen else CHECKOUT / ".concert"


def cache_folder() -> Path:
    """Where downloads are kept: `CONCERT_CACHE`, or one folder for all stacks of a checkout."""
    chosen = os.environ.get("CONCERT_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else CHECKOUT / ".concert" / "cache"


def open_home(root: Path) -> Home:
    """The home at `root`, its folders made. Raises StackError when they cannot be made."""
    home = Home(root)
    try:
        for folder, mode in (
            (home.root, 0o711),
            (home.credentials, 0o700),
            (home.logs, 0o755),
            (home.run, 0o755),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid == os.geteuid():
                folder.chmod(mode)
    except OSError as error:
        raise StackError(
            f"cannot use {root} ({error.strerror}): "
            "choose a folder of your own with CONCERT_HOME=/path make run"
        ) from error
    return home


def access_token(path: Path) -> str:
    """The API token in the file at `path`, drawn and written when there is none yet."""
    return secret(path, draw=lambda: new_token().text)


def secret(path: Path, draw: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret in the file at `path` (mode 600), drawn and written when there is none yet."""
    if not path.exists():
        write_private(path, draw() + "\n")
    try:
        return path.read_text().strip()
    except OSError as error:
        raise StackError(f"cannot read {path} ({error.strerror}): it is another user's") from error


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, readable by its owner alone."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


@contextmanager
def exclusive(home: Home) -> Iterator[None]:
    """Hold the home for this process. Raises StackError when another process holds it.

    The lock is the operating system's, so it goes with the process, however that ends.
    """
    path = home.run / "lock"
    try:
        file = path.open("a+")
    except OSError as error:
        raise StackError(f"cannot write {path} ({error.strerror}): it is another user's") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise StackError(
                f"a stack is already running on {home.root} (pid {holder}): "
                "stop it with `make down`, or use another CONCERT_HOME and CONCERT_PORT_BASE"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
