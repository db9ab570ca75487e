"""Kafka and PostgreSQL together: what both `make run` and the tests stand on.

Either part is left out when a real cluster is given (`CONCERT_KAFKA`, `CONCERT_DATABASE_URL`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.local import kafka, postgres
from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.ports import Ports, require_free
from deploy.local.processes import Child, Processes
from deploy.local.progress import Progress


@dataclass(frozen=True, slots=True)
class Infra:
    """Where Kafka and PostgreSQL are; the children are those of them that we started."""

    kafka: str
    owner_url: str
    children: tuple[Child, ...]


@contextmanager
def running_infra(
    home: Home, ports: Ports, processes: Processes, progress: Progress
) -> Iterator[Infra]:
    """Start what is not given by the environment, and stop it again at the end.

    Raises StackError for a busy port, a damaged folder, or a server that does not come up.
    """
    given_kafka = os.environ.get("CONCERT_KAFKA")
    given_database = os.environ.get("CONCERT_DATABASE_URL")
    wanted: dict[str, int] = {}
    if not given_kafka:
        wanted |= {"Kafka": ports.kafka, "Kafka's controller": ports.kafka_controller}
    if not given_database:
        wanted |= {"PostgreSQL": ports.postgres}
    require_free(wanted)
    both_local = not given_kafka and not given_database
    if both_local:
        _require_both_or_neither(home)
    if not given_kafka:
        kafka.check_data(home)
    if not given_database:
        postgres.check_data(home)
    children: list[Child] = []
    local_kafka = local_postgres = None
    try:
        if not given_database:
            local_postgres = postgres.start_postgres(home, ports, processes, progress)
            children.append(local_postgres.child)
        if not given_kafka:
            local_kafka = kafka.start_kafka(home, ports, processes, progress)
            children.append(local_kafka.child)
        if both_local:
            (home.root / "made").touch()
        yield Infra(
            kafka=local_kafka.bootstrap if local_kafka else str(given_kafka),
            owner_url=local_postgres.owner_url if local_postgres else str(given_database),
            children=tuple(children),
        )
    finally:
        if local_kafka is not None:
            with progress.step("stopping Apache Kafka", "Apache Kafka stopped"):
                kafka.stop_kafka(local_kafka, processes)
        if local_postgres is not None:
            with progress.step("stopping PostgreSQL", "PostgreSQL stopped"):
                postgres.stop_postgres(local_postgres, processes)


def _require_both_or_neither(home: Home) -> None:
    """Offsets in PostgreSQL point into Kafka's logs: one without the other is no state at all.

    `made` is written once both exist, so a first start that was killed half-way simply goes on.
    """
    missing = [
        name
        for name, exists in (
            (home.kafka / "data", kafka.has_data(home)),
            (home.postgres / "data", postgres.has_data(home)),
        )
        if not exists
    ]
    if (home.root / "made").exists() and missing:
        raise StackError(
            f"{missing[0]} is gone but the rest of {home.root} is there, and they belong together: "
            f"restore it, or remove {home.root} to start empty"
        )
