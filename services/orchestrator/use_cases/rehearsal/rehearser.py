"""Works at simulations: takes one that waits, goes through its period, writes what it found.

One that is begun is begun anew by whoever finds its process silent. All that is kept of it while it
runs is how far it is; its result is written in one transaction, once.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import simulations
from services.orchestrator.storage.simulations import MAX_CRASHES, Found, Simulation
from services.orchestrator.use_cases.rehearsal.inputs import rulesets, unpack
from services.orchestrator.use_cases.rehearsal.rehearsal import Rehearsal, TooLarge
from shared import clock
from shared.errors import Infrastructure, PartitionStopped
from shared.kafka.recorded import BUFFER, Recorded, Timed
from shared.observability import metrics
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.jobs import serve_jobs
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POINTS = ("rehearsal.claimed", "rehearsal.read", "rehearsal.written")
"""Where a test may kill the process that rehearses."""
POLL_SECONDS = 0.5
KEEP_SECONDS = 1.0
AT_ONCE = 100
"""So many updates are gone through before anything else of the process has its turn."""
ROOM = 2_000_000


class _Lost(Exception):  # noqa: N818 - not a mistake
    """It was cancelled, or is another's by now, or this process is told to stop."""


@dataclass(slots=True)
class _Progress:
    done: int = 0
    total: int = 0


class Rehearser:
    """One process that rehearses, a simulation at a time. `recorded` opens the recorded updates;
    `fetch` of each partition are read ahead."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        member: str,
        recorded: Callable[[], Recorded],
        fetch: int = BUFFER,
        room: int = ROOM,
    ) -> None:
        self._engine = engine
        self._member = member
        self._recorded = recorded
        self._fetch = fetch
        self._room = room

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve simulations until told to stop; Kafka and PostgreSQL may be away meanwhile."""
        await serve_jobs(self.serve_one, stopping, every=POLL_SECONDS, what="simulations")

    async def serve_one(self, stopping: asyncio.Event) -> bool:
        """Do one simulation to its end, if one waits; whether there was one. Raises Infrastructure
        when PostgreSQL or Kafka is away; it is then taken up again."""
        async with transaction(self._engine) as tx:
            claimed = await simulations.claim(tx, self._member)
        if claimed is None:
            return False
        one, inputs = claimed
        crash_point("rehearsal.claimed")
        if one.crashes >= MAX_CRASHES:
            await self._fail(one, f"its process ended {MAX_CRASHES} times before it was done")
            return True
        started = clock.monotonic_seconds()
        try:
            await self._attempt(one, inputs, stopping)
        except (_Lost, Infrastructure) as error:
            async with transaction(self._engine) as tx:
                await simulations.give_back(tx, one)
            if isinstance(error, Infrastructure):
                raise
        except TooLarge as error:
            await self._fail(one, str(error))
        except PartitionStopped as error:
            await self._fail(one, f"what was recorded cannot be read: {error}")
        except Exception as error:  # a bug: said to who asked, and the next one is served
            logger.exception("simulation %s failed", one.id)
            await self._fail(one, f"unexpected: {type(error).__name__}; the log says more")
        else:
            metrics.SIMULATIONS.labels(outcome="completed").inc()
            metrics.SIMULATION_SECONDS.observe(clock.monotonic_seconds() - started)
        return True

    async def _fail(self, one: Simulation, problem: str) -> None:
        logger.warning("simulation %s failed: %s", one.id, problem)
        async with transaction(self._engine) as tx:
            await simulations.fail(tx, one, problem)
        metrics.SIMULATIONS.labels(outcome="failed").inc()

    async def _attempt(self, one: Simulation, inputs: bytes, stopping: asyncio.Event) -> None:
        """Rehearse, and keep the claim meanwhile; whichever ends first ends the other."""
        progress = _Progress()
        recorded = self._recorded()
        work = asyncio.create_task(self._rehearse(one, inputs, recorded, progress))
        keeper = asyncio.create_task(self._keep(one, progress, stopping))
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                await keeper  # why it ended is what counts
            await work
        finally:
            keeper.cancel()
            await recorded.stop()

    async def _keep(self, one: Simulation, progress: _Progress, stopping: asyncio.Event) -> None:
        """Tell how far it is; raises _Lost when nobody wants it any more."""
        while True:
            await wait(stopping, KEEP_SECONDS)
            if stopping.is_set():
                raise _Lost
            async with transaction(self._engine) as tx:
                if not await simulations.keep(tx, one, done=progress.done, total=progress.total):
                    raise _Lost

    async def _rehearse(
        self, one: Simulation, inputs: bytes, recorded: Recorded, progress: _Progress
    ) -> None:
        # In a thread: with very many rules it takes seconds.
        live, draft = await asyncio.to_thread(lambda: rulesets(unpack(inputs)))
        async with transaction(self._engine) as tx:
            erased = await simulations.erased(tx)
        rehearsal = Rehearsal(live, draft, begins=one.from_at, erased=erased, room=self._room)
        bounds = await recorded.bounds(_milliseconds(one.warm_at), _milliseconds(one.to_at))
        progress.total = bounds.total
        async for batch in recorded.read(bounds, self._fetch):
            for first in range(0, len(batch), AT_ONCE):
                _take(rehearsal, batch[first : first + AT_ONCE])
                progress.done += len(batch[first : first + AT_ONCE])
                await asyncio.sleep(0)
            metrics.SIMULATED_UPDATES.inc(len(batch))
        crash_point("rehearsal.read")
        rehearsal.end(one.to_at)
        progress.done = progress.total
        async with transaction(self._engine) as tx:
            await simulations.keep(tx, one, done=progress.total, total=progress.total)
            if not await simulations.complete(tx, one, found_by(rehearsal)):
                raise _Lost
        crash_point("rehearsal.written")


def _take(rehearsal: Rehearsal, some: list[Timed]) -> None:
    for at, record in some:
        rehearsal.take(record, datetime.fromtimestamp(at / 1000, UTC))


def found_by(rehearsal: Rehearsal) -> Found:
    """The result, in bytes that are the same for the same input."""
    counts = orjson.dumps(rehearsal.counts(), option=orjson.OPT_SORT_KEYS)
    changed = [
        (one["profile_id"], orjson.dumps(one, option=orjson.OPT_SORT_KEYS).decode())
        for one in rehearsal.changed()
    ]
    digest = hashlib.sha256(counts)
    digest.update(str(rehearsal.changed_total).encode())
    for _, body in changed:
        digest.update(body.encode())
    return Found(counts.decode(), rehearsal.changed_total, digest.hexdigest(), changed)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
