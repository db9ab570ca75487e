"""The daily file of a channel: closed at its cut-off, whole, once."""

import csv
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.domain.connector import FileBatch
from services.orchestrator.storage import delivery_batches
from services.orchestrator.storage.delivery_batches import LEASE
from services.orchestrator.use_cases import close_batch as closing
from services.orchestrator.use_cases.close_batch import close_batch
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.delivering import Delivering, action_id
from tests.integration.orchestrator.stage import COUNTS
from tests.support.eventually import eventually

HOUR = timedelta(hours=1)


class Died(Exception):  # noqa: N818
    """The process ended here."""


async def in_an_hour(deliver: Delivering) -> dict[str, Any]:
    """The document of a channel whose file is closed an hour after the full hour that is next."""
    soon = await deliver.stage.now() + HOUR
    return {"folder": "print", "cut_off": soon.strftime("%H:%M"), "zone": "UTC",
            "columns": ["action_id", "to", "content.line"]}  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_lines_are_collected_until_the_cut_off(deliver: Delivering) -> None:
    document = await in_an_hour(deliver)
    await deliver.channel("direct_mail", connector="file", file=document)
    await deliver.queue("a", "b", "gone", channel="direct_mail", line="=1+1")
    await deliver.queue("late", channel="direct_mail", expires_in=timedelta(minutes=1))
    await deliver.start()
    assert await deliver.withdraw("gone") == {action_id("gone")}
    assert not list(deliver.folder.glob("files/**/*.csv*"))
    await deliver.stage.advance(HOUR + timedelta(minutes=1))
    await deliver.becomes("a", "delivered")
    await deliver.becomes("late", "expired")
    (path,) = deliver.folder.glob("files/print/*.csv")
    rows = read(path)
    assert [row["action_id"] for row in rows] == sorted(map(str, (action_id("a"), action_id("b"))))
    assert {row["content.line"] for row in rows} == {"'=1+1"}
    checksum = path.with_name(path.name + ".sha256")
    sealed = hashlib.sha256(path.read_bytes()).hexdigest()

    async def is_closed() -> bool:
        sql = "SELECT closed_at IS NOT NULL FROM delivery_batch"
        return await deliver.stage.scalar(sql) is True

    await eventually(is_closed, within=10)
    assert checksum.read_text() == f"{sealed}  {path.name}\n"
    (batch,) = await deliver.stage.rows("SELECT * FROM delivery_batch")
    assert (batch.lines, batch.sha256, batch.file) == (2, sealed, path.name)
    types = sorted(event["type"] for event in await deliver.events("direct_mail"))
    assert types == ["direct_mail.delivered"] * 2 + ["direct_mail.expired"]
    await deliver.withdraw("a")
    await deliver.becomes("a", "failed cannot_retract", "retract")
    await deliver.queue("next", channel="direct_mail", line="x")
    await deliver.stage.advance(24 * HOUR)
    await deliver.becomes("next", "delivered")
    files = sorted(deliver.folder.glob("files/print/*.csv"))
    assert len(files) == 2
    assert [row["action_id"] for row in read(files[1])] == [str(action_id("next"))]


async def test_nothing_waits_nothing_is_written(deliver: Delivering) -> None:
    await deliver.channel("direct_mail", connector="file", file=await in_an_hour(deliver))
    assert await _close(deliver) is False
    await deliver.stage.advance(30 * HOUR)
    assert await _close(deliver) is False
    assert not (deliver.folder / "files").exists()


@pytest.mark.parametrize("point", closing.CRASH_POINTS)
async def test_a_crash_writes_nothing_twice(
    deliver: Delivering, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"n{n}" for n in range(delivery_batches.PAGE + 20)]
    await deliver.channel("direct_mail", connector="file", file=await in_an_hour(deliver))
    await deliver.queue(*names, channel="direct_mail", line="x")
    await deliver.stage.advance(2 * HOUR)

    def die(name: str) -> None:
        if name == point:
            raise Died

    monkeypatch.setattr(closing, "crash_point", die)
    with pytest.raises(Died):
        await _close(deliver)
    before = {path: path.stat().st_ino for path in deliver.folder.glob("files/print/*.csv")}
    assert await _close(deliver) is False, "somebody holds it until the lease ends"
    monkeypatch.undo()
    await deliver.withdraw("n0")
    await deliver.queue("new", channel="direct_mail", line="x")
    await deliver.stage.scalar(
        "UPDATE delivery_batch SET lease_until = now() - interval '1 s' RETURNING 1"
    )
    assert await _close(deliver) is True
    assert await _close(deliver) is False
    (path,) = deliver.folder.glob("files/print/*.csv")
    if before:
        assert before == {path: path.stat().st_ino}, "the file that was there is the file"
    written = [row["action_id"] for row in read(path)]
    left_out = {"n0"} if not before else set()
    assert sorted(written) == sorted(str(action_id(name)) for name in set(names) - left_out)
    said = [event["properties"]["action_id"] for event in await deliver.events("direct_mail")]
    assert sorted(said) == sorted(written)
    assert await deliver.state("n0") == ("delivered" if before else "withdrawn")
    assert await deliver.state("n0", "retract") == ("waiting" if before else "withdrawn")
    assert await deliver.state("new") == "waiting"
    (batch,) = await deliver.stage.rows("SELECT * FROM delivery_batch")
    assert (batch.lines, batch.epoch) == (len(written), 2)


async def test_only_one_process_writes_a_file(deliver: Delivering) -> None:
    await deliver.channel("direct_mail", connector="file", file=await in_an_hour(deliver))
    await deliver.queue("a", channel="direct_mail", to=Identifier("loyalty_id", "L-1"))
    await deliver.stage.advance(2 * HOUR)
    async with transaction(deliver.stage.engine) as tx:
        now = await deliver.stage.now()
        day = now.date()
        first = await delivery_batches.take(tx, "direct_mail", day=day, cut_off=now, folder="print")
        assert first is not None
    async with transaction(deliver.stage.engine) as tx:
        assert (
            await delivery_batches.take(tx, "direct_mail", day=day, cut_off=now, folder="print")
            is None
        )
    await deliver.stage.scalar(
        "UPDATE delivery_batch SET lease_until = now() - interval '1 s' RETURNING 1"
    )
    async with transaction(deliver.stage.engine) as tx:
        second = await delivery_batches.take(
            tx, "direct_mail", day=day, cut_off=now, folder="print"
        )
        assert second is not None
        assert second.epoch == 2
        assert not await delivery_batches.hold(tx, first), "the first one has lost it"
        assert await delivery_batches.hold(tx, second)
    assert timedelta(seconds=30) < LEASE


async def _close(deliver: Delivering) -> bool:
    """What the loop of the channel does."""
    rows = await deliver.stage.rows("SELECT body FROM channel WHERE key = 'direct_mail'")
    document = rows[0].body["file"]
    target = FileBatch(
        folder=document["folder"],
        cut_off=datetime.strptime(document["cut_off"], "%H:%M").time(),  # noqa: DTZ007
        zone=document["zone"],
        columns=tuple(document["columns"]),
        days=frozenset(range(7)),
    )
    return await close_batch(
        deliver.stage.engine, "direct_mail", target,
        files=deliver.folder / "files", topics=Topics(), counts=COUNTS,
    )  # fmt: skip
