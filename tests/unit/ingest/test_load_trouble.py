"""A load while Kafka is away: it waits, tries again, and writes down only what was taken."""

import asyncio
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from services.ingest.domain.row_mapping import FileFormat
from services.ingest.domain.source import Source
from services.ingest.load import load as loading
from services.ingest.load.files import batch_file
from services.ingest.load.load import Load
from services.ingest.load.prepare import RowReader
from services.ingest.load.progress import Progress
from services.ingest.load.rows import open_rows
from services.ingest.load.state import (
    LoadState,
    read_state,
    rejected_path,
    state_path,
    write_state,
)
from shared.errors import Infrastructure, Misconfigured
from shared.kafka.messages import Message, PartitionCounts
from shared.kafka.publisher import Publisher

TOPIC = "channel.web"


def fresh(**changed: Any) -> LoadState:
    """The state of a load that has not begun."""
    state = {"content": "sha256:c", "source": "shop", "mapping": "", "live": False, **changed}
    return msgspec.convert(state, LoadState)


class Broker:
    """Refuses the first `failures` batches, then takes them."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[Message] = []
        self.tried = asyncio.Event()

    async def publish(self, batches: Iterable[tuple[tuple[str, int], Sequence[Message]]]) -> None:
        """Take them, or not."""
        self.tried.set()
        if self.failures:
            self.failures -= 1
            raise Infrastructure("kafka", "away")
        self.taken += [message for _, messages in batches for message in messages]


def load_of(path: Path, broker: Broker, said: io.StringIO) -> Load:
    source = Source(id="shop", name="shop", channel="web")
    return Load(
        batch_file(path),
        fresh(),
        reader=RowReader(source=source, content="c", mapping=None, live=False, topic=TOPIC),
        topic=TOPIC,
        counts=PartitionCounts({TOPIC: 3}),
        publisher=cast(Publisher, broker),
        progress=Progress(said, path.name),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text('{"type":"Seen"}\n{"type":7}\n{"type":"Seen"}\n')
    return path


async def test_it_tries_again_until_kafka_takes_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "FIRST_PAUSE", 0.001)
    broker, said = Broker(failures=3), io.StringIO()
    load = load_of(file, broker, said)
    with open_rows(batch_file(file), FileFormat()) as rows:
        assert await load.run(rows, asyncio.Event())
    assert len(broker.taken) == 2
    assert said.getvalue().count("kafka: away; trying again") == 3
    assert (load.state.sent, load.state.rejected, load.state.done) == (2, 1, True)
    assert read_state(state_path(file), fresh()) == load.state


async def test_stopped_while_kafka_is_away_nothing_is_written_down(file: Path) -> None:
    broker, stopping = Broker(failures=1_000_000), asyncio.Event()
    load = load_of(file, broker, io.StringIO())
    with open_rows(batch_file(file), FileFormat()) as rows:
        running = asyncio.create_task(load.run(rows, stopping))
        await broker.tried.wait()
        stopping.set()
        assert not await running
    assert read_state(state_path(file), fresh()) == fresh()
    assert not rejected_path(file).exists()


def test_the_state_of_another_load_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert read_state(path, fresh()) is None
    load = fresh(row=7)
    write_state(path, load)
    assert read_state(path, fresh()) == load
    for field, other in (("content", "x"), ("source", "x"), ("mapping", "x"), ("live", True)):
        assert read_state(path, fresh(**{field: other})) is None
    path.write_text("{")
    with pytest.raises(Misconfigured, match="--from-start"):
        read_state(path, fresh())
