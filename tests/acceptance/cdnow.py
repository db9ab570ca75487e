"""The CDNOW purchases as events of a till, and what must come out of them.

69,659 real purchases of 23,570 customers, 1997 and 1998 (Fader and Hardie's public research set).
255 rows are identical to another one, so each row is numbered: an event's id is its row.
"""

import asyncio
import csv
import gzip
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import asyncpg

from tests.acceptance.concert import Concert
from tests.support.kafka import Message, publish

FILE = Path(__file__).parents[1] / "data" / "cdnow_master.csv.gz"
CHANNEL = "pos"
PURCHASES = 69_659
CUSTOMERS = 23_570
REVENUE = Decimal("2500315.63")
PAGE = 1000
PACE_CHUNK = 0.25

_BY_SQL = """
SELECT (SELECT count(*) FROM profile.profile WHERE status = 'active') AS profiles,
       (SELECT count(*) FROM profile.touchpoint) AS touchpoints,
       (SELECT sum((convert_from(body, 'UTF8')::jsonb #>> '{properties,total}')::numeric)
          FROM profile.touchpoint) AS revenue,
       (SELECT sum(seq)::bigint FROM profile.profile) AS updates,
       (SELECT count(*) FROM profile.merge) AS merges
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What SQL says about the whole file."""

    profiles: int
    touchpoints: int
    revenue: Decimal
    updates: int
    merges: int


EXPECTED = Totals(CUSTOMERS, PURCHASES, REVENUE, PURCHASES, 0)


def purchases(concert: Concert) -> list[Message]:
    """Every row as an event, in the order of the file."""
    with gzip.open(FILE, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == PURCHASES
    topic = concert.topics.channel(CHANNEL)
    return [_message(topic, number, row) for number, row in enumerate(rows, 1)]


def _message(topic: str, number: int, row: dict[str, str]) -> Message:
    body = {
        "id": f"cdnow-{number}",
        "source": "till",
        "type": "POS Order Completed",
        "occurred_at": f"{row['date']}T12:00:00Z",
        "identifiers": [{"type": "loyalty_id", "value": row["customer_id"]}],
        "properties": {"total": row["amount"], "currency": "USD", "quantity": row["quantity"]},
    }
    return Message(topic, json.dumps(body).encode(), key=row["customer_id"].encode())


async def publish_paced(concert: Concert, messages: Sequence[Message], seconds: float) -> None:
    """Publish them all, evenly over this many seconds."""
    begun, done = time.monotonic(), 0
    while done < len(messages):
        due = min(len(messages), int((time.monotonic() - begun) / seconds * len(messages)) + 1)
        await publish(concert.stack.kafka, messages[done:due])
        done = due
        await asyncio.sleep(PACE_CHUNK)


async def totals(owner: asyncpg.Connection) -> Totals:
    """The totals by SQL."""
    return Totals(**dict(await owner.fetchrow(_BY_SQL)))


async def revenue_by_api(concert: Concert, messages: Sequence[Message]) -> tuple[int, Decimal]:
    """How many different profiles the API shows, page by page, and their summed revenue.

    Every hundredth customer is also looked up by card and must be one of them.
    """
    found: dict[str, Decimal] = {}
    async with concert.api("profile-api") as client:
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/v1/profiles", params=query)).raise_for_status().json()
            for profile in page["items"]:
                found[profile["id"]] = Decimal(profile["computed"]["revenue"]["USD"])
            cursor = page["next_cursor"]
        customers = sorted({message.key.decode() for message in messages if message.key})
        for customer in customers[::100]:
            answer = await client.get(f"/v1/profiles/by/loyalty_id/{customer}")
            profile = answer.raise_for_status().json()
            assert found[profile["id"]] == Decimal(profile["computed"]["revenue"]["USD"])
    return len(found), sum(found.values(), Decimal(0))
