"""The role `deliver`: a loop for each channel that was saved, each on its own. One without a
built-in connector may have had one: what is left over from then has to end."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel, parse_channel
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.storage import deliveries, delivery_work, saved
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.deliver_channel import DeliverChannel, Means
from services.orchestrator.use_cases.open_channels import Open
from services.orchestrator.use_cases.read_stored import parsed
from shared.errors import Infrastructure
from shared.observability import metrics
from shared.postgres import drafts
from shared.postgres.epochs import epoch
from shared.postgres.transaction import transaction
from shared.runtime.live import Live
from shared.runtime.waiting import wait

LOOK_SECONDS = 0.5
MEASURE_SECONDS = 2.0
FORGET_SECONDS = 60.0
FORGOTTEN_AT_ONCE = 1_000
KEPT = timedelta(days=35)
"""How long it can be seen how a delivery went, as long as actions are kept on their topics."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The channels that were saved, and what the contact policies say."""

    channels: Mapping[str, Channel]
    policy: JointPolicy


def live_channels(engine: AsyncEngine, open_channels: Open) -> Live[InForce]:
    """What deliveries go by, followed as it changes; where their outcomes go is asked for first."""

    async def prepare(in_force: InForce) -> None:
        await open_channels(in_force.channels)

    return Live(engine, _load, prepare=prepare)


async def _load(tx: AsyncConnection) -> tuple[int, InForce]:
    now = await epoch(tx)
    channels = parsed(parse_channel, await saved.everything(tx, saved.Kind.CHANNEL), "channel")
    policies = parsed(parse_policy, await drafts.live(tx, Kind.CONTACT_POLICY), "contact policy")
    return now, InForce({one.key: one for one in channels}, JointPolicy(policies))


@dataclass(slots=True)
class _Running:
    stopping: asyncio.Event
    task: asyncio.Task[None]


class Deliver:
    """Keeps one loop for each channel."""

    def __init__(self, means: Means, in_force: Callable[[], InForce]) -> None:
        self._means = means
        self._in_force = in_force
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
        served = set(self._known())
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
        loop = DeliverChannel(
            self._means, key, lambda: self._known().get(key), lambda: self._in_force().policy
        )
        return _Running(ending, asyncio.create_task(loop.run(ending), name=f"deliver-{key}"))

    def _known(self) -> Mapping[str, Channel]:
        try:
            return self._in_force().channels
        except Infrastructure:
            return {}  # not loaded yet


async def measure(
    engine: AsyncEngine, in_force: Callable[[], InForce], stopping: asyncio.Event
) -> None:
    """Show what waits on each channel, since when, and the circuits."""
    while not stopping.is_set():
        try:
            keys = set(in_force().channels)
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


async def forget_old(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Delete what ended long ago, a little at a time."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                gone = await deliveries.forget(tx, after=KEPT, limit=FORGOTTEN_AT_ONCE)
        except Infrastructure:
            gone = 0  # the loops themselves say what is away
        if gone < FORGOTTEN_AT_ONCE:
            await wait(stopping, FORGET_SECONDS)
