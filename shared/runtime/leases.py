"""Shares the partitions of a group among its living members, by leases instead of Kafka's protocol.

Every member computes the same fair share from the same two tables: who lives, and who owns what.
It gives up what is above its share and claims what is free below it. There is no leader and no
rebalance that stops everybody; what a member keeps, it goes on reading.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import Infrastructure
from shared.kafka.records import Place
from shared.observability import metrics
from shared.postgres import leases
from shared.postgres.leases import Lease, Position
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

LEASE_SECONDS = 6.0
HEARTBEAT_SECONDS = 1.5
TICK_SECONDS = 0.5


class LeaseKeeper:
    """The membership of this process in one group, and the epochs of what it owns."""

    def __init__(self, engine: AsyncEngine, *, group: str, member: str) -> None:
        self._engine = engine
        self.group = group
        self.member = member
        self._left = False
        self.epochs: dict[Place, int] = {}

    async def heartbeat(self, stopping: asyncio.Event) -> None:
        """Renew the membership until told to stop; a database that is away is tried again."""
        while not stopping.is_set():
            try:
                await self._beat()
            except Infrastructure as error:
                logger.warning("%s: the membership could not be renewed: %s", self.group, error)
            await wait(stopping, HEARTBEAT_SECONDS)

    async def ensure(self, bases: Mapping[Place, int]) -> None:
        """Make rows for new partitions. Raises Infrastructure."""
        if bases:
            async with transaction(self._engine) as tx:
                await leases.ensure(tx, self.group, bases)

    async def known(self) -> set[Place]:
        """Partitions that have a row. Raises Infrastructure."""
        async with transaction(self._engine) as tx:
            return {lease.place for lease in await leases.leases(tx, self.group)}

    async def tick(self) -> list[Place]:
        """Compare with the fair share and claim what is free; `epochs` has what is ours then.

        Returns what is ours and above the share, to be finished and released.
        Raises Infrastructure.
        """
        async with transaction(self._engine) as tx:
            living = await leases.members(tx, self.group)
            if self.member not in living:
                await leases.heartbeat(tx, self.group, self.member, LEASE_SECONDS)
                living = sorted({*living, self.member})
            rows = await leases.leases(tx, self.group)
            shares = share(rows, living, self.member, set(self.epochs))
            if shares.strays:
                await leases.relinquish(tx, self.group, self.member, shares.strays)
            claimed = (
                await leases.claim(tx, self.group, self.member, shares.wanted)
                if shares.wanted
                else {}
            )
        self.epochs.update({place: position.epoch for place, position in claimed.items()})
        if claimed or shares.surplus:
            metrics.REBALANCES.inc()
            logger.info("%s: +%d -%d partitions", self.group, len(claimed), len(shares.surplus))
        return shares.surplus

    async def release(self, places: list[Place]) -> None:
        """Give partitions back that nothing is done with any more. Raises Infrastructure."""
        held = {place: self.epochs[place] for place in places if place in self.epochs}
        if held:
            async with transaction(self._engine) as tx:
                await leases.release(tx, self.group, held)
        for place in held:
            del self.epochs[place]

    async def reread(self, places: list[Place]) -> dict[Place, Position]:
        """The positions of those of `places` that are still ours; the others are forgotten.

        Waits for a transaction of ours whose commit is in doubt. Raises Infrastructure.
        """
        async with transaction(self._engine) as tx:
            rows = await leases.lock(tx, self.group, places)
        ours = {
            place: position
            for place, position in rows.items()
            if self.epochs.get(place) == position.epoch
        }
        for place in places:
            if place not in ours and self.epochs.pop(place, None) is not None:
                metrics.FENCED.inc()
                logger.warning("%s: %s belongs to another process now", self.group, place)
        return ours

    async def leave(self) -> None:
        """Release everything and end the membership. Raises Infrastructure."""
        self._left = True
        await self.release(list(self.epochs))
        async with transaction(self._engine) as tx:
            await leases.leave(tx, self.group, self.member)

    async def _beat(self) -> None:
        if self._left:
            return
        async with transaction(self._engine) as tx:
            await leases.heartbeat(tx, self.group, self.member, LEASE_SECONDS)


class Share(NamedTuple):
    """`wanted`: free partitions to claim. `surplus`: held ones to give back. `strays`: rows that
    name us, are not held and not wanted."""

    wanted: list[Place]
    surplus: list[Place]
    strays: list[Place]


def share(rows: list[Lease], living: list[str], member: str, held: set[Place]) -> Share:
    """The fair share of `member` in what is there.

    Each topic is shared on its own, so that one busy topic is spread over all; the remainder goes
    to another member with each topic.
    """
    rank, count = living.index(member), len(living)
    by_topic: dict[str, list[Lease]] = {}
    for row in rows:
        by_topic.setdefault(row.place.topic, []).append(row)
    wanted: list[Place] = []
    surplus: list[Place] = []
    strays: list[Place] = []
    for number, topic in enumerate(sorted(by_topic)):
        partitions = by_topic[topic]
        quota, remainder = divmod(len(partitions), count)
        quota += (rank + number) % count < remainder
        mine = [row.place for row in partitions if row.place in held]
        surplus += mine[quota:]
        free = [
            row.place
            for row in partitions
            if row.place not in held and (row.free or row.owner == member)
        ]
        wanted += free[: max(0, quota - len(mine))]
        strays += [
            row.place
            for row in partitions
            if row.owner == member and row.place not in held and row.place not in wanted
        ]
    return Share(wanted, surplus, strays)
