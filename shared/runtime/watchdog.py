"""Measures lag from outside the loop, and ends a process whose partitions do not move.

The ends of the partitions come from a client of its own, because a consumer that hangs has a
frozen idea of them. A process that is stuck writes down what its tasks are doing and exits; its
supervisor starts it again.
"""

import asyncio
import io
import logging
import os
from dataclasses import dataclass

from aiokafka import TopicPartition

from shared import clock
from shared.kafka.errors import KAFKA_TROUBLE
from shared.kafka.factory import build_consumer
from shared.kafka.records import Place
from shared.observability import metrics
from shared.observability.health import Health
from shared.runtime.stream_worker import StreamWorker
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
UNREADY_SECONDS = 60.0
EXIT_SECONDS = 120.0
EXIT_STATUS = 70


@dataclass(slots=True)
class Standing:
    """Where a partition stood when it last moved."""

    offset: int
    since: float


class Watchdog:
    """Looks at one stream worker every two seconds."""

    def __init__(
        self, bootstrap: str, worker: StreamWorker, health: Health, *, client_id: str
    ) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._worker = worker
        self._health = health
        self._standing: dict[Place, Standing] = {}
        self._noted: set[Place] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until told to stop; Kafka or PostgreSQL being away is no reason to exit."""
        consumer = None
        while not stopping.is_set():
            try:
                if consumer is None:
                    consumer = build_consumer(
                        self._bootstrap, group=None, client_id=f"{self._client_id}-watchdog"
                    )
                    await consumer.start()
                owned = self._worker.owned
                ends = await consumer.end_offsets([TopicPartition(*place) for place in owned])
                self._judge(owned, {Place(*tp): end for tp, end in ends.items()})
            except KAFKA_TROUBLE as error:
                logger.warning("watchdog: %s: %s", type(error).__name__, error)
                if consumer is not None:
                    await consumer.stop()
                consumer = None
                self._standing.clear()
            await wait(stopping, LOOK_SECONDS)
        if consumer is not None:
            await consumer.stop()

    def _judge(self, owned: dict[Place, int], ends: dict[Place, int]) -> None:
        now = clock.monotonic_seconds()
        if self._worker.pausing_since is not None:
            self._standing.clear()
        for place in self._noted - owned.keys():
            self._standing.pop(place, None)
            metrics.LAG.forget(*place)
        self._noted = set(owned)
        for place, offset in owned.items():
            waiting = max(0, ends.get(place, offset) - offset)
            watermark = self._worker.watermarks.get(place)
            metrics.LAG.note(place.topic, place.partition, waiting, watermark)
            standing = self._standing.get(place)
            if standing is None or standing.offset != offset or not waiting:
                self._standing[place] = Standing(offset, now)
        self._act({place: now - standing.since for place, standing in self._standing.items()})

    def _act(self, ages: dict[Place, float]) -> None:
        """Say which partitions stand still; a stopped one is known and does not end the process."""
        stopped = self._worker.stopped
        stuck = [
            place for place, age in ages.items() if age >= UNREADY_SECONDS and place not in stopped
        ]
        metrics.STUCK_PARTITIONS.set(len(stuck) + len(stopped))
        if not stuck:
            self._health.release("watchdog")
            return
        names = ", ".join(str(place) for place in stuck[:5])
        self._health.hold("watchdog", f"{names} do not move")
        if max(ages[place] for place in stuck) >= EXIT_SECONDS:
            logger.critical("stuck: %s; what the tasks are doing: %s", names, _stacks())
            os._exit(EXIT_STATUS)


def _stacks() -> str:
    out = io.StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(limit=8, file=out)
    return out.getvalue()
