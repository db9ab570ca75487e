"""The command `load`: what it is given, what it says, and how it ends."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from services.ingest.domain.read_mapping import read_mapping
from services.ingest.domain.row_mapping import FileFormat, RowMapping, columns_of
from services.ingest.domain.source import Source
from services.ingest.load.files import BatchFile, Unreadable, batch_file, content_id
from services.ingest.load.load import Load
from services.ingest.load.prepare import RowReader
from services.ingest.load.progress import Progress
from services.ingest.load.registered import registered_source
from services.ingest.load.rows import open_rows
from services.ingest.load.settings import LoadSettings
from services.ingest.load.state import LoadState, read_state, rejected_path, state_path
from shared import clock
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import touchpoint_encoder
from shared.errors import Infrastructure, InvalidData, Misconfigured, Unprocessable
from shared.kafka.catalogue import Catalogue
from shared.kafka.publisher import Publisher
from shared.settings import load as load_settings

LOADED, BROKEN_OFF, SOME_REJECTED, STOPPED = 0, 1, 2, 130
CLIENT = "concert-ingest-load"
LARGE_FILE_BYTES = 1024**3
SHOWN = 5
MOST_REASONS = 20
PLAN_UNSEEN = (
    "the tracking plan was not looked at: {source} is set to {tracking!r}, so the worker will hold"
    " the rows against it\n"
)
HELP = "load a batch file (CSV, JSON lines, Parquet) as historical events"
EPILOG = """\
The rows go to the channel of the source on Kafka, as any producer's records. The id of an event is
the content of the file and its row, or the mapping's id column: loading a file again changes
nothing. Rows that cannot be events are listed in FILE.rejected.jsonl and the others go on.
FILE.concert-load.json says how far it is: after Ctrl-C, or a crash, the same command goes on there.

exit status: 0 all rows were sent, 2 some were rejected, 130 stopped by Ctrl-C, 1 the file breaks
off or its folder cannot be written to, 78 it could not begin, 64 the command line is wrong

example: python -m services.ingest load till.csv --source tills --mapping till.json \\
           --kafka 127.0.0.1:8092 --url http://127.0.0.1:8001 --token-file .concert/admin-token
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("file", type=Path, help="may be packed with gzip")
    add("--source", required=True, help="id of the registered source that the rows are of")
    add("--mapping", type=Path, help="JSON: which column is which field; none: native events")
    add("--format", choices=("csv", "jsonl", "parquet"), help="when the name does not say it")
    add("--live", action="store_true", help="let rules react: do not mark events as historical")
    add("--dry-run", action="store_true", help=f"send nothing; show {SHOWN} touchpoints and count")
    add("--from-start", action="store_true", help="send rows again that were sent before")
    add("--kafka", help="bootstrap servers (default: CONCERT_KAFKA)")
    add("--url", default="http://127.0.0.1:8001", help="the collector (default: %(default)s)")
    add("--token-file", type=Path, help="may read sources (default: CONCERT_HOME/admin-token)")


def run_load(arguments: argparse.Namespace) -> int:
    """Load the file; the exit status. Raises Misconfigured when it cannot begin."""
    with contextlib.suppress(KeyboardInterrupt):
        return _run(arguments)
    return STOPPED


def _run(arguments: argparse.Namespace) -> int:
    settings = load_settings(LoadSettings)
    file = batch_file(arguments.file, arguments.format)
    mapping, mapping_id = _mapping(arguments.mapping)
    if mapping is None and file.kind != "jsonl":
        raise Misconfigured([f"{file.path}: --mapping is needed, but for JSON lines of events"])
    form = FileFormat() if mapping is None else mapping.format
    _check_columns(file, form, mapping)
    token_file = arguments.token_file or settings.home / "admin-token"
    source = registered_source(arguments.url, token_file, arguments.source)
    progress = Progress(sys.stderr, file.path.name)
    if file.size > LARGE_FILE_BYTES:
        progress.say(f"{file.path}: looking through it first, because its content names its events")
    content = content_id(file)
    topic = Topics(settings.topic_prefix).channel(source.channel)
    reader = RowReader(
        source=source, content=content, mapping=mapping, live=arguments.live, topic=topic
    )
    if arguments.dry_run:
        return _dry_run(file, form, reader, source)
    state = LoadState(content=content, source=source.id, mapping=mapping_id, live=arguments.live)
    known = None if arguments.from_start else read_state(state_path(file.path), state)
    if known is not None and known.done:
        progress.say(f"{file.path}: all {known.row:,} rows were sent before; nothing to do")
        return _ended(known, file, progress)
    if known is not None:
        progress.say(f"{file.path}: going on behind row {known.row:,}")
    kafka = arguments.kafka or settings.kafka
    return asyncio.run(_load(file, form, known or state, reader, source, kafka, settings, progress))


async def _load(
    file: BatchFile,
    form: FileFormat,
    state: LoadState,
    reader: RowReader,
    source: Source,
    kafka: str,
    settings: LoadSettings,
    progress: Progress,
) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    topics = Topics(settings.topic_prefix)
    topic = topics.channel(source.channel)
    catalogue = Catalogue(
        kafka, client_id=CLIENT, topics=topics, replication=settings.topic_replication
    )
    await _topic_is_there(catalogue, topic, kafka)
    publisher = Publisher(kafka, client_id=CLIENT)
    load = Load(
        file,
        state,
        reader=reader,
        topic=topic,
        counts=catalogue.counts,
        publisher=publisher,
        progress=progress,
    )
    try:
        with open_rows(file, form, position=state.position, number=state.row) as rows:
            if await load.run(rows, stopping):
                return _ended(state, file, progress)
    except (Unreadable, OSError) as error:
        progress.say(f"{error}; {state.row:,} rows are through")
        return BROKEN_OFF
    finally:
        await publisher.close()
    progress.say(f"stopped behind row {state.row:,}; the same command goes on from there")
    return STOPPED


async def _topic_is_there(catalogue: Catalogue, topic: str, kafka: str) -> None:
    """Raises Misconfigured when Kafka does not answer: the load has not begun yet."""
    try:
        await catalogue.refresh()
        if topic not in catalogue.known:
            catalogue.counts.missing.add(topic)
            await catalogue.refresh()
    except Infrastructure as error:
        told = f"{kafka} does not answer ({error}): --kafka or CONCERT_KAFKA names the brokers"
        raise Misconfigured([told]) from None
    finally:
        await catalogue.close()


def _ended(state: LoadState, file: BatchFile, progress: Progress) -> int:
    if not state.rejected:
        progress.say(f"{file.path}: {state.sent:,} events sent")
        return LOADED
    progress.say(
        f"{file.path}: {state.sent:,} events sent, {state.rejected:,} rows rejected,"
        f" listed in {rejected_path(file.path)}"
    )
    return SOME_REJECTED


def _dry_run(file: BatchFile, form: FileFormat, reader: RowReader, source: Source) -> int:
    """Show the first touchpoints on standard output, then how many rows would do and not."""
    good, failed = 0, Counter[str]()
    first: dict[str, int] = {}
    with open_rows(file, form) as rows:
        try:
            for row in rows.each:
                try:
                    touchpoint = reader.read(row, clock.unix_milliseconds()).touchpoint
                except InvalidData as error:
                    why = error.reason if error.path is None else f"{error.reason} at {error.path}"
                    failed[why] += 1
                    first.setdefault(why, row.number)
                    continue
                good += 1
                if good <= SHOWN:
                    shown = orjson.loads(touchpoint_encoder.encode(touchpoint))
                    shown.pop("raw", None)
                    sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        except Unreadable as error:
            sys.stdout.write(f"{error}\n")
            return BROKEN_OFF
    bad = failed.total()
    sys.stdout.write(f"{good:,} rows would be sent, {bad:,} rejected; nothing was sent\n")
    if source.tracking != "off":
        sys.stdout.write(PLAN_UNSEEN.format(source=source.id, tracking=source.tracking))
    for why, count in failed.most_common(MOST_REASONS):
        sys.stdout.write(f"  {count:,} x {why} (first: row {first[why]:,})\n")
    return SOME_REJECTED if bad else LOADED


def _mapping(path: Path | None) -> tuple[RowMapping | None, str]:
    """The mapping and the hash of its file. Raises Misconfigured with every mistake in it."""
    if path is None:
        return None, ""
    try:
        content = path.read_bytes()
        document: Any = json.loads(content)
    except OSError as error:
        raise Misconfigured([f"{path}: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:
        raise Misconfigured([f"{path}: no JSON: {error}"]) from None
    try:
        return read_mapping(document), hashlib.sha256(content).hexdigest()
    except Unprocessable as error:
        raise Misconfigured(
            [f"{path}: {problem.path}: {problem.message}" for problem in error.problems]
        ) from None


def _check_columns(file: BatchFile, form: FileFormat, mapping: RowMapping | None) -> None:
    """Raises Misconfigured for columns of the mapping that the file does not have."""
    try:
        with open_rows(file, form) as rows:
            columns = rows.columns
    except Unreadable as error:
        raise Misconfigured([f"{file.path}: {error}"]) from None
    if columns is None or mapping is None:
        return
    missing = [
        f"{path}: the file has no column {column!r}, only {', '.join(columns)[:200]}"
        for path, column in columns_of(mapping)
        if column not in columns and column.split(".")[0] not in columns
    ]
    if missing:
        raise Misconfigured(missing)
