"""What was discovered is written, or is there for the next time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.discovery import Discovery, Seen
from services.ingest.storage import discovery as stored
from services.ingest.use_cases import write_discoveries
from services.ingest.use_cases.write_discoveries import WriteDiscoveries
from shared.errors import Infrastructure
from tests.unit.ingest.reading import read


@asynccontextmanager
async def no_transaction(_: AsyncEngine) -> AsyncIterator[None]:
    yield


class Table:
    """Raises the errors one after the other, then takes what comes."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.written: list[Seen] = []
        self.is_written = asyncio.Event()

    async def write(self, _: None, seen: Seen) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.written.append(seen)
        self.is_written.set()


def writing(
    monkeypatch: pytest.MonkeyPatch, *errors: Exception
) -> tuple[WriteDiscoveries, Table, Seen]:
    """A writer with one event to write, the table it writes to, and what it should write."""
    table, discovery = Table(*errors), Discovery()
    event = {"source": "shop", "type": "Seen", "identifiers": [], "properties": {"n": 1}}
    discovery.note(read({"id": "1", **event}))
    expected = discovery.take(10)
    discovery.put_back(expected)
    monkeypatch.setattr(write_discoveries, "transaction", no_transaction)
    monkeypatch.setattr(stored, "write", table.write)
    monkeypatch.setattr(write_discoveries, "WRITE_SECONDS", 0.01)
    return WriteDiscoveries(cast(AsyncEngine, None), discovery), table, expected


async def test_postgres_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Infrastructure("postgres", "away")
    writer, table, expected = writing(monkeypatch, away, away)
    stopping = asyncio.Event()
    running = asyncio.create_task(writer.run(stopping))
    await asyncio.wait_for(table.is_written.wait(), 10)
    stopping.set()
    await running
    assert table.written == [expected]


async def test_a_bug_is_raised_and_its_batch_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, table, expected = writing(monkeypatch, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await asyncio.wait_for(writer.run(asyncio.Event()), 10)
    await writer.write()
    assert table.written == [expected]
