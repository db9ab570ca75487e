"""The role `deliver`: a loop for each channel with a built-in connector, each on its own."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel, parse_channel
from services.orchestrator.storage import delivery_work, saved
from services.orchestrator.use_cases.deliver_channel import DeliverChannel, Means
from shared.errors import Infrastructure, Unprocessable
from shared.observability import metrics
from shared.postgres.epochs import epoch
from shared.postgres.transaction import transaction
from shared.runtime.live import Live
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
MEASURE_SECONDS = 2.0

Channels = Mapping[str, Channel]


def live_channels(engine: AsyncEngine) -> Live[Channels]:
    """The channels that were saved, followed as they change."""
    return Live(engine, _load)


async def _load(tx: AsyncConnection) -> tuple[int, Channels]:
    now = await epoch(tx)
    channels = {}
    for row in await saved.everything(tx, saved.Kind.CHANNEL):
        try:
            channels[row.key] = parse_channel(row.body, key=row.key, version=row.version)
        except Unprocessable as error:
            logger.error("channel %s is not served: %s", row.key, error)
    return now, channels


@dataclass(slots=True)
class _Running:
    stopping: asyncio.Event
    task: asyncio.Task[None]


class Deliver:
    """Keeps one loop for each channel that has a built-in connector."""

    def __init__(self, means: Means, channels: Callable[[], Channels]) -> None:
        self._means = means
        self._channels = channels
        self._running: dict[str, _Running] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve the channels as they come and go, until told to stop."""
        while not stopping.is_set():
            await self._look()
            await wait(stopping, LOOK_SECONDS)
        for one in self._running.values():
            one.stopping.set()
        await asyncio.gather(*(one.task for one in self._running.values()))

    async def _look(self) -> None:
        served = {key for key, channel in self._known().items() if channel.is_built_in}
        for key in served - self._running.keys():
            self._running[key] = self._start(key)
        for key in self._running.keys() - served:
            self._running[key].stopping.set()
        for key, one in list(self._running.items()):
            if one.task.done():
                del self._running[key]
                one.task.result()  # a bug ends the process, which is started anew

    def _start(self, key: str) -> _Running:
        ending = asyncio.Event()
        loop = DeliverChannel(self._means, key, lambda: self._known().get(key))
        return _Running(ending, asyncio.create_task(loop.run(ending), name=f"deliver-{key}"))

    def _known(self) -> Channels:
        try:
            return self._channels()
        except Infrastructure:
            return {}  # not loaded yet


async def measure(
    engine: AsyncEngine, channels: Callable[[], Channels], stopping: asyncio.Event
) -> None:
    """Show what waits on each channel, since when, and the circuits."""
    while not stopping.is_set():
        try:
            keys = {key for key, channel in channels().items() if channel.is_built_in}
            async with transaction(engine) as tx:
                waiting = await delivery_work.waiting(tx, keys)
                circuits = await delivery_work.circuits(tx)
        except Infrastructure:
            await wait(stopping, MEASURE_SECONDS)  # the loops themselves say what is away
            continue
        for key, (count, oldest) in waiting.items():
            label = metrics.channel_label(key)
            metrics.DELIVERIES_WAITING.labels(channel=label).set(count)
            metrics.DELIVERY_OLDEST.labels(channel=label).set(oldest)
            metrics.DELIVERY_CIRCUIT.labels(channel=label).set(circuits.get(key, 0.0))
        await wait(stopping, MEASURE_SECONDS)
