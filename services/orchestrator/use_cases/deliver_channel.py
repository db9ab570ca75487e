"""Delivers what is queued for one channel: claimed, tried, settled, each in its own transaction.

A claim commits before anything is sent, and the result commits with the event that says it. What a
process claimed that died comes round by its lease: under the same key on an `at_least_once`
channel, as `failed` (unknown) on an `at_most_once` one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.connector import FileBatch
from services.orchestrator.domain.delivering import UNKNOWN, Claimed, Verdict
from services.orchestrator.domain.throttle import begun, room
from services.orchestrator.storage import delivery_work
from services.orchestrator.use_cases.close_batch import close_batch
from services.orchestrator.use_cases.delivery_events import say_all
from services.orchestrator.use_cases.senders import Sender, Senders
from services.orchestrator.use_cases.settlement import CRASH_POINTS as SETTLEMENT_POINTS
from services.orchestrator.use_cases.settlement import Settlement
from shared import clock
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

CRASH_POINTS = ("deliver.claimed", "deliver.sent", *SETTLEMENT_POINTS)
AT_ONCE = 16
"""Tries of one channel at the same time, in one process."""
CONNECTIONS = 3
"""Database connections that one channel uses at the same time."""
POLL_SECONDS = 0.25
GATHER_SECONDS = 0.01
"""After one try ended others may end too: what is free is claimed together."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MARGIN = timedelta(seconds=10)
"""How much longer a lease is than a try: for the result to be written."""
BOTH, RETRACTIONS = ("send", "retract"), ("retract",)


@dataclass(frozen=True, slots=True)
class Means:
    """What all channels of a process share."""

    engine: AsyncEngine
    topics: Topics
    counts: PartitionCounts
    senders: Senders
    files: Path


class DeliverChannel:
    """The loop of one channel. `channel` gives its document as it now is; None: it is gone."""

    def __init__(self, means: Means, key: str, channel: Callable[[], Channel | None]) -> None:
        self._means = means
        self._key = key
        self._channel = channel
        self._sender: tuple[Channel, Sender] | None = None
        self._trying: set[asyncio.Task[None]] = set()
        self._connections = asyncio.Semaphore(CONNECTIONS)
        self._settlement = Settlement(key, means.topics, means.counts, self._transaction)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until told to stop, then finish what was begun."""
        pause = FIRST_PAUSE
        while not stopping.is_set():
            busy = None
            try:
                busy = await self._round()
            except (Infrastructure, OSError) as error:
                logger.warning("channel %s: again in %.1f s: %s", self._key, pause, error)
            except Exception:  # a bug: it must not stop the other channels
                logger.exception("channel %s: again in %.1f s", self._key, pause)
            if busy is None:
                await wait(stopping, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if not busy:
                await wait(stopping, POLL_SECONDS)
            elif len(self._trying) >= AT_ONCE:
                await asyncio.wait(self._trying, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(GATHER_SECONDS)
        if self._trying:
            await asyncio.wait(self._trying)
        if self._sender is not None:
            await self._sender[1].close()

    async def _round(self) -> bool:
        """Do what there is to do; whether there may be more at once."""
        channel = self._channel()
        if channel is None or channel.target is None:
            return False
        async with self._transaction() as tx:
            work = await delivery_work.work(tx, self._key)
        if work.abandoned:
            await self._take_back(channel)
        if work.expired:
            await self._expire()
        if not channel.enabled:
            return False
        kinds: tuple[str, ...] = BOTH
        if isinstance(channel.target, FileBatch):
            kinds = RETRACTIONS
            await self._close_batch(channel.target)
        free = AT_ONCE - len(self._trying)
        if not work.due or free <= 0:
            return work.due
        sender = self._sender_of(channel)
        claimed, lease = await self._claim(channel, free, kinds)
        for one in claimed:
            task = asyncio.create_task(self._deliver(one, channel, sender, lease))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)
        return len(claimed) == free

    async def _close_batch(self, target: FileBatch) -> None:
        means = self._means
        await close_batch(
            means.engine, self._key, target,
            files=means.files, topics=means.topics, counts=means.counts,
        )  # fmt: skip

    async def _claim(
        self, channel: Channel, free: int, kinds: tuple[str, ...]
    ) -> tuple[list[Claimed], float]:
        """What may be tried now, and until when, by this process's clock that never jumps."""
        lease = _longest_try(channel) + MARGIN
        until = clock.monotonic_seconds() + MARGIN.total_seconds()
        async with self._transaction() as tx:
            throttle, now = await delivery_work.lock_throttle(tx, self._key)
            left = room(throttle, channel.rate, now)
            limit = free if left is None else min(free, left)
            if limit == 0:
                return [], until
            claimed = await delivery_work.claim(
                tx, self._key, limit=limit, lease=lease, kinds=kinds
            )
            if claimed:
                after = begun(throttle, channel.rate, now, count=len(claimed), lease=lease)
                if after != throttle:
                    await delivery_work.keep_throttle(tx, self._key, after)
        return claimed, until

    async def _deliver(
        self, claimed: Claimed, channel: Channel, sender: Sender, until: float
    ) -> None:
        crash_point("deliver.claimed")
        if clock.monotonic_seconds() > until:
            return  # the process stood still: the lease may run out during the try
        started = clock.monotonic_seconds()
        try:
            verdict = await sender.send(claimed)
        except Exception:  # a bug: nobody knows how far it came
            logger.exception("channel %s: %s failed", self._key, claimed.action_id)
            verdict = Verdict("again", "error", reached=True)
        label = metrics.channel_label(self._key)
        metrics.DELIVERY_SECONDS.labels(channel=label).observe(clock.monotonic_seconds() - started)
        crash_point("deliver.sent")
        await self._settlement.settle(claimed, verdict, channel)

    async def _take_back(self, channel: Channel) -> None:
        """Settle what somebody claimed and never settled."""
        buffer = OutboxBuffer(self._means.counts)
        async with self._transaction() as tx:
            lost = await delivery_work.abandoned(tx, channel)
            now = (await delivery_work.clocks(tx)).business
            over = [one for one, state in lost if state == "failed" and one.kind == "send"]
            said = [(one.action_id, one.profile_id) for one in over if not one.test]
            say_all(buffer, self._means.topics, self._key, "failed", now, said, UNKNOWN)
            await outbox.append(tx, buffer)
        for one, state in lost:
            logger.warning("channel %s: nobody knows whether %s %s was sent: %s", self._key,
                           one.kind, one.action_id, state)  # fmt: skip
            self._count("again" if state == "waiting" else state)

    async def _expire(self) -> None:
        buffer = OutboxBuffer(self._means.counts)
        async with self._transaction() as tx:
            late = await delivery_work.expire(tx, self._key)
            now = (await delivery_work.clocks(tx)).business
            said = [(one.action_id, one.profile_id) for one in late if not one.test]
            say_all(buffer, self._means.topics, self._key, "expired", now, said)
            await outbox.append(tx, buffer)
        for _ in late:
            self._count("expired")

    def _sender_of(self, channel: Channel) -> Sender:
        """The sender of the document as it is; a new one when it changed."""
        if self._sender is not None and self._sender[0].version == channel.version:
            return self._sender[1]
        if self._sender is not None:
            retiring = asyncio.create_task(_retire(self._sender[1], set(self._trying)))
            self._trying.add(retiring)
            retiring.add_done_callback(self._trying.discard)
        made = self._means.senders.sender(channel)
        self._sender = (channel, made)
        return made

    def _count(self, result: str) -> None:
        label = metrics.channel_label(self._key)
        metrics.DELIVERIES.labels(channel=label, result=result).inc()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        """One of the few connections that a channel uses at the same time."""
        async with self._connections, transaction(self._means.engine) as tx:
            yield tx


async def _retire(sender: Sender, trying: set[asyncio.Task[None]]) -> None:
    """Close the sender when the tries that use it are over."""
    if trying:
        await asyncio.wait(trying)
    await sender.close()


def _longest_try(channel: Channel) -> timedelta:
    target = channel.target
    return timedelta(0) if target is None or isinstance(target, FileBatch) else target.timeout
