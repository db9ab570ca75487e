"""The same input in batches of 1, 7 and 1,000 gives the same `profile.updates`, byte for byte."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.topics import Topics
from tests.acceptance.concert import concert_on
from tests.chaos.flow import Flow
from tests.support.kafka import Message, new_prefix, publish, read_all, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack

EVENTS = 600
BATCHES = (1, 7, 1_000)
BEGINNING_MS = 1_795_000_000_000
"""Every run gets the same records with the same timestamps; one partition gives them one order."""


def given_input() -> list[bytes | None]:
    """Every kind of event, and two first orders of one person right after another."""
    flow = Flow(Topics(), 7, lambda: datetime.fromtimestamp(BEGINNING_MS / 1000, UTC))
    values = [message.value for message in flow.next(EVENTS)]
    return [*values[:300], order(1), order(2), *values[300:]]


def order(number: int) -> bytes:
    body = {
        "id": f"first-order-{number}",
        "source": "shop",
        "type": "Order Completed",
        "occurred_at": "2026-11-01T12:00:00Z",
        "identifiers": [{"type": "user_id", "value": "new-customer"}],
        "properties": {"total": "5.00", "currency": "EUR"},
    }
    return json.dumps(body).encode()


async def updates_with(
    stack: Stack, migrated: Database, home: Path, values: Sequence[bytes | None], batch: int
) -> list[tuple[bytes, bytes]]:
    """Key and value of every update when all workers take at most `batch` records at once."""
    prefix = new_prefix()
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, prefix, partitions=1, timestamps="CreateTime") as topics,
        concert_on(stack, database, topics, home) as concert,
    ):
        raw = topics.channel("web")
        await publish(
            stack.kafka,
            [
                Message(raw, value, key=b"k", partition=0, timestamp_ms=BEGINNING_MS + number)
                for number, value in enumerate(values)
            ],
        )
        await concert.start("ingest-worker", "profile-worker", CONCERT_BATCH_RECORDS=str(batch))
        await concert.until_done("web", hops=("ingest", "profile"))
        records = await read_all(stack.kafka, topics.profile_updates)
        return [(record.key, record.value.replace(prefix.encode(), b"")) for record in records]


@pytest.mark.timeout(600)
async def test_batches_of_1_7_and_1000_give_the_same_bytes(
    stack: Stack, migrated: Database, tmp_path: Path
) -> None:
    values = given_input()
    one, seven, thousand = [
        await updates_with(stack, migrated, tmp_path / str(batch), values, batch)
        for batch in BATCHES
    ]
    assert len(one) > EVENTS / 2
    assert one == seven == thousand
    orders = [snapshot["computed"]["orders"] for snapshot in snapshots_of_orders(thousand)]
    assert orders == [1, 2]


def snapshots_of_orders(updates: Sequence[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """What the updates caused by the two first orders show."""
    bodies = [json.loads(value) for _, value in updates]
    return [
        body["profile"]
        for body in bodies
        if str(body["cause"].get("message_id", "")).startswith("first-order-")
    ]
