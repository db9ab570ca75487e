"""The profile worker's handler on a real database, without Kafka around it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.profile import (
    GoldenProfile,
    StoredProfile,
    decode_state,
    golden,
)
from services.profile.use_cases.absorb_touchpoints import AbsorbTouchpoints
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import Message, PartitionCounts
from shared.kafka.records import Record
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.records import Handled

Body = Mapping[str, Any]


def records(*bodies: Body, partition: int = 0) -> list[Record]:
    """The touchpoints as records of one partition."""
    return [
        Record("touchpoints", partition, offset, 0, None, msgspec.json.encode(body), ())
        for offset, body in enumerate(bodies)
    ]


class Worker:
    """Absorbs batches and reads what came of them."""

    def __init__(self, engine: AsyncEngine, rules: Rules | None = None) -> None:
        self.engine = engine
        self.rules = rules or Rules()
        self.counts = PartitionCounts({Topics().profile_updates: 4})
        self.handler = AbsorbTouchpoints(
            topics=Topics(), counts=self.counts, rules=lambda: self.rules
        )

    async def handle(self, tx: AsyncConnection, *bodies: Body) -> Handled:
        """One batch in a transaction that the caller ends."""
        handled = await self.handler(records(*bodies), tx)
        await outbox.append(tx, handled.messages)
        return handled

    async def absorb(self, *bodies: Body) -> Handled:
        """One batch, committed; tried again for as long as the loop would."""
        while True:
            try:
                async with transaction(self.engine) as tx:
                    return await self.handle(tx, *bodies)
            except Infrastructure:
                continue

    async def absorb_in_batches(self, bodies: Sequence[Body], size: int) -> None:
        for start in range(0, len(bodies), size):
            await self.absorb(*bodies[start : start + size])

    async def rows(self, statement: str) -> list[Any]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]

    async def active(self) -> list[GoldenProfile]:
        """Every active profile, by id."""
        found = await self.rows(
            "SELECT id::text, status, NULL, seq, n_merges, state FROM profile "
            "WHERE status = 'active' ORDER BY id"
        )
        return [golden(_stored(row), self.rules.identity, self.rules.traits) for row in found]

    async def published(self) -> dict[int, list[Message]]:
        """Everything in the outbox, by partition, in the order it will be published."""
        found: dict[int, list[Message]] = {}
        for part, frame in await self.rows("SELECT part, frame FROM outbox ORDER BY id"):
            found.setdefault(part, []).extend(outbox.decode_frame(frame))
        return found

    async def updates(self) -> list[dict[str, Any]]:
        """Every update in the outbox, decoded; in order for each profile."""
        return [
            msgspec.json.decode(message.value or b"")
            for messages in (await self.published()).values()
            for message in messages
        ]


def _stored(row: tuple[Any, ...]) -> StoredProfile:
    id_, status, merged_into, seq, n_merges, state = row
    return StoredProfile(id_, status, merged_into, seq, n_merges, decode_state(state))
