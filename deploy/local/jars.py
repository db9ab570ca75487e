"""The broker's jars: fetched once by coordinate, checked by hash, kept in the cache.

`kafka-jars.txt` is the lock: one coordinate and SHA-256 a line. Nothing is used that does not
match it. `python -m deploy.local.jars` resolves the dependency tree anew and prints the next
lock. jgo is a pure Python resolver, so neither Maven nor a Java tool chain is needed.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.home import cache_folder
from deploy.local.progress import Progress

LOCK = Path(__file__).with_name("kafka-jars.txt")
# The broker, and the binding that lets it write a log.
ROOTS = ("org.apache.kafka:kafka_2.13:4.1.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
PARALLEL = 8


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar."""

    coordinate: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def locked_jars() -> list[Jar]:
    """The jars of the lock, in its order."""
    lines = (line.split() for line in LOCK.read_text().splitlines())
    return [Jar(coordinate, digest) for coordinate, digest in lines]


def class_path(progress: Progress) -> list[Path]:
    """The broker's jars on disk, fetched if need be. Raises StackError when they cannot be had."""
    folder = cache_folder() / "jars"
    jars = locked_jars()
    if _missing(jars, folder):
        with _alone(folder):
            missing = _missing(jars, folder)  # not what another stack fetched meanwhile
            doing = f"fetching {len(missing)} jars of Apache Kafka into {folder}"
            with progress.step(doing, f"{len(missing)} jars fetched and checked"):
                _fetch(missing, folder)
    return [folder / jar.file_name for jar in jars]


def _missing(jars: Sequence[Jar], folder: Path) -> list[Jar]:
    return [jar for jar in jars if not _is_good(folder / jar.file_name, jar)]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time fetches into a folder. Raises StackError when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StackError(
            f"cannot write to {folder} ({error.strerror}): choose a folder with CONCERT_CACHE=/path"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_good(path: Path, jar: Jar) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def _fetch(jars: Sequence[Jar], folder: Path) -> None:
    """Fetch into a folder of its own, check, then move in: a kill leaves no half jar behind."""
    staging = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder))
    try:
        with ThreadPoolExecutor(PARALLEL) as pool:
            for jar, path in zip(
                jars, pool.map(lambda j: _fetch_one(j, staging), jars), strict=True
            ):
                path.replace(folder / jar.file_name)
    finally:
        shutil.rmtree(staging)


def _fetch_one(jar: Jar, staging: Path) -> Path:
    import requests

    try:
        path = _artifact(jar.coordinate, staging)
    except (requests.RequestException, RuntimeError) as error:
        raise StackError(
            f"cannot download {jar.coordinate} ({type(error).__name__}): check the network, the "
            "proxy settings, and SSL_CERT_FILE if a proxy signs its own certificates"
        ) from error
    if not _is_good(path, jar):
        raise StackError(f"{jar.coordinate} does not match its hash in {LOCK.name}: not used")
    return path


def _artifact(coordinate: str, repository: Path) -> Path:
    group, name, version = coordinate.split(":")
    context = _maven(repository)
    path: Path = context.project(group, name).at_version(version).artifact().resolve()
    return path


def _maven(repository: Path):  # type: ignore[no-untyped-def]  # jgo ships no types
    # Imported here: a start with a full cache needs none of it.
    from jgo.maven import MavenContext

    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", certificates)
    return MavenContext(repo_cache=repository, timeout=60)


def resolve_lock() -> list[Jar]:
    """The roots and everything they need, resolved anew, with the hashes of what was fetched."""
    from jgo.maven import Dependency

    with tempfile.TemporaryDirectory() as folder:
        context = _maven(Path(folder))
        coordinates = set(ROOTS)
        root = ROOTS[0].split(":")
        artifact = context.project(root[0], root[1]).at_version(root[2]).artifact()
        _, nodes = context.resolver.get_dependency_list([Dependency(artifact)])
        coordinates |= {str(node.dep.artifact.component) for node in nodes}
        jars = []
        for coordinate in sorted(coordinates):
            digest = hashlib.sha256(_artifact(coordinate, Path(folder)).read_bytes()).hexdigest()
            jars.append(Jar(coordinate, digest))
    return jars


if __name__ == "__main__":
    for line in resolve_lock():
        sys.stdout.write(f"{line.coordinate} {line.sha256}\n")
