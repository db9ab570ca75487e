"""Writes the results of one channel's tries, with the events that say them: all that are there
together, in one transaction.

A result is written once: nothing when the lease was lost meanwhile, or the person erased.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.delivering import Claimed, Verdict, settle
from services.orchestrator.domain.throttle import failed
from services.orchestrator.storage import delivery_work
from services.orchestrator.storage.delivery_work import Clocks
from services.orchestrator.use_cases.delivery_events import say
from services.orchestrator.use_cases.switch_off import switch_off
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.runtime.crash import crash_point

logger = logging.getLogger(__name__)

CRASH_POINTS = ("deliver.settled",)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]


class Result(NamedTuple):
    """How a try ended, and the channel as it was when it began."""

    claimed: Claimed
    verdict: Verdict
    channel: Channel


class Settlement:
    """The results of one channel in one process."""

    def __init__(
        self, key: str, topics: Topics, counts: PartitionCounts, transaction: Transaction
    ) -> None:
        self._key = key
        self._topics = topics
        self._counts = counts
        self._transaction = transaction
        self._results: list[Result] = []
        self._writing = asyncio.Lock()

    async def settle(self, claimed: Claimed, verdict: Verdict, channel: Channel) -> None:
        """Write the result; returns when it is committed, however long PostgreSQL is away."""
        self._results.append(Result(claimed, verdict, channel))
        async with self._writing:
            results, self._results = self._results, []
            if results:  # else whoever wrote before took this one along
                await self._write_at_last(results)

    async def _write_at_last(self, results: Sequence[Result]) -> None:
        pause = FIRST_PAUSE
        ordered = sorted(results, key=lambda one: one.claimed.action_id)
        while True:
            try:
                ends = await self._write(ordered)
                break
            except Infrastructure as error:
                logger.warning("channel %s: results wait: %s", self._key, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        crash_point("deliver.settled")
        for result, (state, reason) in zip(ordered, ends, strict=True):
            self._report(result, state, reason)

    async def _write(self, results: Sequence[Result]) -> list[tuple[str, str | None]]:
        """Where each stands then, and why. Rows are locked in the order of their ids."""
        buffer = OutboxBuffer(self._counts)
        async with self._transaction() as tx:
            now = await delivery_work.clocks(tx)
            ends = [await self._write_one(tx, result, now, buffer) for result in results]
            await self._note_health(tx, results, now)
            if any(result.verdict.closes for result in results):
                await switch_off(tx, self._key)
            await outbox.append(tx, buffer)
        return ends

    async def _write_one(
        self, tx: AsyncConnection, result: Result, now: Clocks, buffer: OutboxBuffer
    ) -> tuple[str, str | None]:
        claimed, verdict, channel = result
        end = settle(claimed, verdict, channel, now.business)
        written = await delivery_work.settled(tx, claimed, end, reached=verdict.reached)
        if written is None:
            return "lost", end.reason
        state, profile_id = written
        if claimed.kind == "send" and not claimed.test:
            say(
                buffer, self._topics, channel=self._key, action_id=claimed.action_id,
                profile_id=profile_id, outcome=state, at=now.business, reason=end.reason,
            )  # fmt: skip
        return state, end.reason

    async def _note_health(
        self, tx: AsyncConnection, results: Sequence[Result], now: Clocks
    ) -> None:
        """What the results say of the channel itself; one that went well counts last."""
        ill = [result.verdict for result in results if not result.verdict.healthy]
        if ill:
            throttle, _ = await delivery_work.lock_throttle(tx, self._key)
            for verdict in ill:
                throttle = failed(throttle, now.real, retry_after=verdict.retry_after)
            await delivery_work.keep_throttle(tx, self._key, throttle)
        if len(ill) < len(results):
            await delivery_work.recovered(tx, self._key)

    def _report(self, result: Result, state: str, reason: str | None) -> None:
        label = metrics.channel_label(self._key)
        shown = result.verdict.result if state == "waiting" else state
        metrics.DELIVERIES.labels(channel=label, result=shown).inc()
        if state not in ("delivered", "withdrawn"):
            claimed = result.claimed
            logger.info("channel %s: %s %s: %s %s", self._key, claimed.kind, claimed.action_id,
                        state, reason)  # fmt: skip
