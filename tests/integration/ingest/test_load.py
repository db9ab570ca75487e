"""`python -m services.ingest load` on real Kafka: twice, killed, stopped, and with bad rows."""

import asyncio
import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.structs import ConsumerRecord

from deploy.local.home import CHECKOUT
from tests.integration.ingest.conftest import Ingest
from tests.support.eventually import eventually
from tests.support.kafka import read_all

CDNOW = Path(__file__).parents[2] / "data" / "cdnow_master.csv.gz"
ROWS = 2_000
MAPPING = {
    "type": {"constant": "POS Order Completed"},
    "occurred_at": {"column": "date", "format": "%Y-%m-%d", "timezone": "America/New_York"},
    "identifiers": [{"type": "loyalty_id", "column": "customer_id"}],
    "properties": {
        "total": "amount",
        "quantity": {"column": "quantity", "as": "integer"},
        "currency": {"constant": "USD"},
    },
}
SIGKILLED = -signal.SIGKILL


class Loader:
    """One run of the command on a file."""

    def __init__(self, ingest: Ingest, file: Path, *arguments: str, **extra: str) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CONCERT_")},
            "CONCERT_KAFKA": ingest.stack.kafka,
            "CONCERT_HOME": str(ingest.stack.home.root),
            "CONCERT_TOPIC_PREFIX": ingest.topics.prefix,
            **extra,
        }
        command = [sys.executable, "-m", "services.ingest", "load", str(file)]
        self.file = file
        self.popen = subprocess.Popen(
            [*command, "--url", ingest.url, *arguments],
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = self.said = ""

    async def ended(self) -> int:
        """Its exit status; `out` and `said` are what it wrote."""
        self.out, self.said = await asyncio.to_thread(self.popen.communicate, timeout=120)
        return self.popen.returncode

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.file.with_name(self.file.name + ".concert-load.json").read_text()
        )
        return found


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps(MAPPING))
    return path


def cdnow(folder: Path, rows: int = ROWS) -> Path:
    """The header and the first rows of the file."""
    path = folder / "cdnow.csv.gz"
    with gzip.open(CDNOW, "rb") as file, gzip.open(path, "wb") as part:
        part.writelines(itertools.islice(file, rows + 1))
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def records_of(ingest: Ingest, source: str, channel: str) -> list[ConsumerRecord]:
    records = await read_all(ingest.stack.kafka, ingest.topics.channel(channel))
    return [record for record in records if orjson.loads(record.value)["source"] == source]


def ids(records: list[ConsumerRecord]) -> Counter[str]:
    return Counter(orjson.loads(record.value)["id"] for record in records)


async def test_the_same_file_again_changes_nothing(
    ingest: Ingest, tmp_path: Path, mapping: Path
) -> None:
    source, _ = await ingest.source("pos")
    file = cdnow(tmp_path)
    arguments = ("--source", source, "--mapping", str(mapping))

    first = Loader(ingest, file, *arguments)
    assert await first.ended() == 0, first.said
    assert f"{ROWS:,} events sent" in first.said
    records = await records_of(ingest, source, "pos")
    once = ids(records)
    assert (len(records), len(once)) == (ROWS, ROWS)
    content = first.state["content"]
    assert set(once) == {f"{content}:{row}" for row in range(1, ROWS + 1)}

    again = Loader(ingest, file, *arguments)
    assert await again.ended() == 0, again.said
    assert "sent before; nothing to do" in again.said
    assert len(await records_of(ingest, source, "pos")) == ROWS

    forced = Loader(ingest, file, *arguments, "--from-start")
    assert await forced.ended() == 0, forced.said
    twice = ids(await records_of(ingest, source, "pos"))
    assert twice == Counter(dict.fromkeys(once, 2))

    found = await ingest.touchpoints(source, 2 * ROWS)
    assert len({one.id for one in found}) == ROWS
    assert all(one.historical and one.channel == "pos" for one in found)
    (first_row,) = {
        (one.occurred_at, one.identifiers[0].value, one.properties["total"])
        for one in found
        if one.message_id == f"{content}:1"
    }
    assert first_row == ("1997-01-01T05:00:00.000Z", "00001", "11.77")
    dead = await read_all(
        ingest.stack.kafka, ingest.topics.dead_letters(ingest.topics.channel("pos"))
    )
    assert not dead


@pytest.mark.parametrize("point", ["ingest.load.acked:3", "ingest.load.noted:3"])
async def test_killed_in_the_middle_it_loses_and_doubles_nothing(
    ingest: Ingest, tmp_path: Path, mapping: Path, point: str
) -> None:
    source, _ = await ingest.source("pos")
    file = cdnow(tmp_path, 5 * 1000)
    arguments = ("--source", source, "--mapping", str(mapping))
    killed = Loader(ingest, file, *arguments, CONCERT_CRASH=point)
    assert await killed.ended() == SIGKILLED, killed.said
    noted = 2000 if "acked" in point else 3000
    assert killed.state["row"] == noted
    assert len(await records_of(ingest, source, "pos")) == 3000

    rest = Loader(ingest, file, *arguments)
    assert await rest.ended() == 0, rest.said
    assert f"going on behind row {noted:,}" in rest.said
    records = await records_of(ingest, source, "pos")
    content = rest.state["content"]
    assert set(ids(records)) == {f"{content}:{row}" for row in range(1, 5001)}
    assert len(records) == 5000 + 3000 - noted
    found = await ingest.touchpoints(source, len(records))
    assert len({one.id for one in found}) == 5000


async def test_ctrl_c_ends_it_and_the_same_command_goes_on(
    ingest: Ingest, tmp_path: Path, mapping: Path
) -> None:
    source, _ = await ingest.source("pos")
    file = cdnow(tmp_path, 5_000)
    arguments = ("--source", source, "--mapping", str(mapping))
    stopped = Loader(ingest, file, *arguments, CONCERT_PAUSE="ingest.load.acked:2")
    await eventually(lambda: _is_stopped(stopped.popen.pid))
    stopped.popen.send_signal(signal.SIGINT)
    stopped.popen.send_signal(signal.SIGCONT)
    assert await stopped.ended() == 130, stopped.said
    row = stopped.state["row"]
    assert row in (2_000, 3_000), "with the batch at hand, or the one that it had begun"
    assert f"stopped behind row {row:,}; the same command goes on from there" in stopped.said
    rest = Loader(ingest, file, *arguments)
    assert await rest.ended() == 0, rest.said
    assert ids(await records_of(ingest, source, "pos")).total() == 5_000


def _is_stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


async def test_bad_rows_are_listed_and_the_others_go_on(ingest: Ingest, tmp_path: Path) -> None:
    source, _ = await ingest.source("web")
    good = {"type": "Seen", "identifiers": [{"type": "user_id", "value": "u"}]}
    lines = [
        json.dumps({**good, "id": "one"}),
        "no json",
        json.dumps({**good, "occurred_at": "soon"}),
        json.dumps({"id": "nothing"}),
        json.dumps({**good, "id": "two", "source": source}),
        json.dumps({**good, "id": "other", "source": "somebody"}),
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines))

    dry = Loader(ingest, file, "--source", source, "--dry-run")
    assert await dry.ended() == 2, dry.said
    assert "2 rows would be sent, 4 rejected; nothing was sent" in dry.out
    assert "1 x spec_violation at occurred_at (first: row 3)" in dry.out
    assert dry.out.count('"message_id"') == 2
    assert not await records_of(ingest, source, "web")
    assert names(tmp_path) == ["events.jsonl"]

    sent = Loader(ingest, file, "--source", source)
    assert await sent.ended() == 2, sent.said
    assert "2 events sent, 4 rows rejected" in sent.said
    rejected = [
        json.loads(line)
        for line in (tmp_path / "events.jsonl.rejected.jsonl").read_text().splitlines()
    ]
    assert [(one["row"], one["reason"], one["path"]) for one in rejected] == [
        (2, "malformed_payload", None),
        (3, "spec_violation", "occurred_at"),
        (4, "spec_violation", "type"),
        (6, "spec_violation", "source"),
    ]
    assert set(ids(await records_of(ingest, source, "web"))) == {"one", "two"}
    again = Loader(ingest, file, "--source", source)
    assert await again.ended() == 2
    assert len((tmp_path / "events.jsonl.rejected.jsonl").read_text().splitlines()) == 4


async def test_a_dry_run_judges_by_the_source_s_rules_but_for_the_plan(
    ingest: Ingest, tmp_path: Path
) -> None:
    source, _ = await ingest.source("web")
    rules = {"max_age": "P30D", "tracking": "reject"}
    settings = {"id": source, "name": source, "channel": "web", **rules}
    assert (await ingest.admin.put(f"/v1/sources/{source}", json=settings)).status_code == 200
    row = {"type": "Seen", "identifiers": [{"type": "user_id", "value": "u"}]}
    file = tmp_path / "events.jsonl"
    old = {**row, "occurred_at": "1997-01-01T00:00:00Z"}
    file.write_text("\n".join(json.dumps(each) for each in (row, old)))
    dry = Loader(ingest, file, "--source", source, "--dry-run")
    assert await dry.ended() == 2, dry.said
    assert "1 rows would be sent, 1 rejected" in dry.out
    assert "1 x too_old" in dry.out
    assert f"the tracking plan was not looked at: {source} is set to 'reject'" in dry.out


async def test_what_keeps_it_from_beginning_is_one_line(
    ingest: Ingest, tmp_path: Path, mapping: Path
) -> None:
    source, _ = await ingest.source("web")
    file = cdnow(tmp_path, 3)
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"typ": "x", "properties": {"n": {"column": "n", "as": "float"}}}')
    token = tmp_path / "token"
    token.write_text("cst_no")
    mapped = ("--mapping", str(mapping))
    other = tmp_path / "other.csv"
    other.write_text("customer_id,date,amount\n1,1997-01-01,2\n")
    cases = [
        (file, ("--source", "nobody", *mapped), ["source 'nobody' is not registered"]),
        (file, ("--source", source), ["--mapping is needed"]),
        (
            file,
            ("--source", source, "--mapping", str(wrong)),
            ["typ: is not a field", "type: is missing", "properties.n.as: must be one of"],
        ),
        (other, ("--source", source, *mapped), ["properties.quantity: the file has no column"]),
        (file, ("--source", source, *mapped, "--token-file", str(token)), ["not accept the token"]),
        (file, ("--source", source, *mapped, "--url", "http://127.0.0.1:9"), ["does not answer"]),
        (file, ("--source", source, *mapped, "--kafka", "127.0.0.1:9"), ["does not answer"]),
        (tmp_path / "none.csv", ("--source", source, *mapped), ["No such file"]),
    ]
    for path, arguments, told in cases:
        run = Loader(ingest, path, *arguments)
        assert await run.ended() == 78, (arguments, run.said)
        lines = [line for line in run.said.splitlines() if line.startswith("python -m services")]
        assert len(lines) == len(told), run.said
        assert all(words in run.said for words in told), run.said
        assert "Traceback" not in run.said
