"""What a run left behind, read from Kafka and PostgreSQL into the oracle's terms."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
from aiokafka.structs import ConsumerRecord

from shared.contracts.topics import Topics
from tests.oracle.invariants import DeadLetter, Update
from tests.oracle.profiles import ExpectedProfile
from tests.oracle.records import Identifier, Position, RawRecord, instant
from tests.support.kafka import read_all


@dataclass(frozen=True, slots=True)
class Applied:
    """What the profile service says became of the events: (id, raw position) each."""

    first: list[tuple[str, Position]]
    duplicates: list[tuple[str, Position]]


async def raw_records(bootstrap: str, topics: Iterable[str]) -> list[RawRecord]:
    """Every record of these channel topics."""
    return [
        RawRecord(
            Position(record.topic, record.partition, record.offset),
            record.timestamp,
            record.key,
            record.value,
            dict(record.headers),
        )
        for topic in topics
        for record in await read_all(bootstrap, topic)
    ]


async def dead_letters(bootstrap: str, topics: Iterable[str]) -> list[DeadLetter]:
    """Every dead letter of these (full, original) topics."""
    return [
        DeadLetter(_origin(record), record.key, record.value)
        for topic in topics
        for record in await read_all(bootstrap, f"{topic}.dlq")
    ]


async def kept(database: asyncpg.Connection) -> list[DeadLetter]:
    """The failed events, each as the dead letter that it was."""
    rows = await database.fetch("SELECT topic, part, position, key, raw FROM ingest.failed_event")
    return [DeadLetter(Position(*row[:3]), *row[3:]) for row in rows]


def _origin(record: ConsumerRecord) -> Position:
    said = dict(record.headers)
    prefix = "__connect.errors."
    topic, partition, offset = (
        said[f"{prefix}{name}"].decode() for name in ("topic", "partition", "offset")
    )
    return Position(topic, int(partition), int(offset))


async def applied(database: asyncpg.Connection) -> Applied:
    """The touchpoints and the counted duplicates."""
    columns = "id::text, raw_topic, raw_partition, raw_offset"
    first = await database.fetch(f"SELECT {columns} FROM profile.touchpoint")
    again = await database.fetch(f"SELECT {columns} FROM profile.touchpoint_duplicate")
    return Applied(*([(row[0], Position(*row[1:])) for row in rows] for rows in (first, again)))


async def updates(bootstrap: str, topics: Topics) -> list[list[Update]]:
    """`profile.updates`, one list a partition."""
    partitions: dict[int, list[Update]] = defaultdict(list)
    for record in await read_all(bootstrap, topics.profile_updates):
        body = json.loads(record.value)
        update = Update(body["profile_id"], body["seq"], record.value)
        partitions[record.partition].append(update)
    return list(partitions.values())


async def profiles_by_api(api_url: str, token: str) -> list[ExpectedProfile]:
    """The active profiles as the database holds them, through the profile API."""
    headers = {"Authorization": f"Bearer {token}"}
    found: list[ExpectedProfile] = []
    params: dict[str, str] = {"limit": "200"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers, timeout=20) as api:
        while True:
            page = (await api.get("/v1/profiles", params=params)).raise_for_status().json()
            found += map(_profile, page["items"])
            if page["next_cursor"] is None:
                return found
            params["cursor"] = page["next_cursor"]


async def profiles(
    database: asyncpg.Connection, partitions: Iterable[Iterable[Update]]
) -> tuple[list[ExpectedProfile], list[str]]:
    """The active profiles as their last update shows them; and where table and topic differ."""
    last: dict[str, Update] = {}
    for some in partitions:
        for update in some:
            if update.profile_id not in last or update.seq > last[update.profile_id].seq:
                last[update.profile_id] = update
    rows = await database.fetch("SELECT id::text, status, seq FROM profile.profile")
    differences = [
        f"profile {row['id']} is at {row['seq']}, its last update is {last.get(row['id'])}"
        for row in rows
        if row["id"] not in last or last[row["id"]].seq != row["seq"]
    ]
    differences += [f"{one} has no row" for one in last.keys() - {row["id"] for row in rows}]
    active = [row["id"] for row in rows if row["status"] == "active" and row["id"] in last]
    shown = [_profile(json.loads(last[one].value)["profile"]) for one in active]
    return shown, differences


def _profile(snapshot: dict[str, Any]) -> ExpectedProfile:
    computed = snapshot["computed"]
    identifiers = [Identifier(one["type"], one["value"]) for one in snapshot["identifiers"]]
    return ExpectedProfile(
        identifiers=frozenset(identifiers),
        touchpoints=computed["touchpoints"],
        orders=computed["orders"],
        revenue={name: Decimal(amount) for name, amount in computed["revenue"].items()},
        first_seen_at=instant(computed["first_seen_at"]),
        last_seen_at=instant(computed["last_seen_at"]),
        traits=snapshot["traits"],
    )


async def sent_actions(bootstrap: str, topic: str) -> list[str]:
    """The ids of every `send` on an actions topic, as often as they stand there."""
    bodies = [json.loads(record.value) for record in await read_all(bootstrap, topic)]
    return [body["action_id"] for body in bodies if body["kind"] == "send"]
