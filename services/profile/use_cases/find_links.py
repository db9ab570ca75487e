"""The linker's work: take a batch that was asked for, compare everybody, keep what is likely.

A batch is begun anew by whoever finds its process silent. What it found is written in one
transaction that holds its row, so there are never two sets of suggestions.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.linking import Person, person_of, too_many
from services.profile.storage import cannot_links, link_runs, link_suggestions, listing, profiles
from services.profile.storage.link_engine import LinkEngine, Pair
from services.profile.storage.link_runs import MAX_ATTEMPTS, LinkRun
from shared import clock
from shared.errors import Infrastructure
from shared.observability import metrics
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.jobs import serve_jobs
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POINTS = ("links.read", "links.trained", "links.written")
"""Where a test may kill the linker."""
POLL_SECONDS = 1.0
KEEP_SECONDS = 5.0
INTERRUPT_SECONDS = 0.2
PAGE = 1000
MAX_SUGGESTIONS = 200_000
NIL = UUID(int=0)


class _Refused(Exception):  # noqa: N818 - said to the person who asked
    """A batch that cannot be done as it was asked for."""


class _Lost(Exception):  # noqa: N818 - not a mistake
    """The batch is another's by now, or this process is told to stop."""


@dataclass(slots=True)
class _Progress:
    phase: str = "reading"
    profiles: int = 0
    pairs: int = 0
    suggestions: int = 0
    wanted: bool = True

    def go_on(self, phase: str) -> None:
        """The next phase begins; raises _Lost when nobody wants it any more."""
        if not self.wanted:
            raise _Lost
        self.phase = phase


class Linker:
    """One process that looks for links, a batch at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        member: str,
        rules: Callable[[], Rules],
        folder: Path,
        memory_mb: int,
        threads: int,
        max_pairs: int,
    ) -> None:
        self._engine = engine
        self._member = member
        self._rules = rules
        self._folder = folder
        self._memory_mb = memory_mb
        self._threads = threads
        self._max_pairs = max_pairs

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve batches until told to stop; PostgreSQL may be away meanwhile."""
        await serve_jobs(self.serve_one, stopping, every=POLL_SECONDS, what="links")

    async def serve_one(self, stopping: asyncio.Event) -> bool:
        """Do one batch to its end, if one waits; whether there was one.

        Raises Infrastructure when PostgreSQL is away; the batch is then taken up again.
        """
        async with transaction(self._engine) as tx:
            run = await link_runs.claim(tx, self._member)
        if run is None:
            return False
        if run.attempt > MAX_ATTEMPTS:
            await self._end(run, f"its process ended {MAX_ATTEMPTS} times before it was done")
            return True
        started = clock.monotonic_seconds()
        try:
            await self._attempt(run, stopping)
        except (_Lost, Infrastructure) as error:
            async with transaction(self._engine) as tx:
                await link_runs.give_back(tx, run)
            if isinstance(error, Infrastructure):
                raise
        except _Refused as error:
            await self._end(run, str(error))
        except Exception as error:  # a bug: said to who asked, and the next batch is served
            logger.exception("links: batch %d failed", run.id)
            await self._end(run, f"unexpected: {type(error).__name__}; the linker's log says more")
        else:
            metrics.LINK_RUNS.labels(outcome="completed").inc()
            metrics.LINK_RUN_SECONDS.observe(clock.monotonic_seconds() - started)
        return True

    async def _end(self, run: LinkRun, problem: str) -> None:
        logger.warning("links: batch %d failed: %s", run.id, problem)
        async with transaction(self._engine) as tx:
            await link_runs.end(tx, run, problem=problem)
        metrics.LINK_RUNS.labels(outcome="failed").inc()

    async def _attempt(self, run: LinkRun, stopping: asyncio.Event) -> None:
        """Find the links of a batch, and keep the claim on it meanwhile."""
        self._folder.mkdir(parents=True, exist_ok=True)
        progress = _Progress()
        with TemporaryDirectory(dir=self._folder) as folder:
            links = await asyncio.to_thread(
                LinkEngine, Path(folder), memory_mb=self._memory_mb, threads=self._threads
            )
            work = asyncio.create_task(self._find(run, links, progress))
            keeper = asyncio.create_task(self._keep(run, progress, stopping))
            try:
                await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
                while not work.done():
                    progress.wanted = False
                    links.interrupt()
                    await asyncio.wait({work}, timeout=INTERRUPT_SECONDS)
                if keeper.done():
                    work.exception()  # it was told to end; why the keeper ended is what counts
                    await keeper
                keeper.cancel()
                await work
            finally:
                await asyncio.to_thread(links.close)

    async def _keep(self, run: LinkRun, progress: _Progress, stopping: asyncio.Event) -> None:
        """Tell how far it is; raises _Lost when the batch is not ours any more.

        While it is written its row is locked: nobody else can claim it then.
        """
        while True:
            await wait(stopping, KEEP_SECONDS)
            if stopping.is_set():
                raise _Lost
            if progress.phase != "writing":
                async with transaction(self._engine) as tx:
                    await _keep_claim(tx, run, progress)

    async def _find(self, run: LinkRun, links: LinkEngine, progress: _Progress) -> None:
        await self._read(links, progress)
        counts = await asyncio.to_thread(links.count_pairs)
        progress.pairs = sum(counts.values())
        crash_point("links.read")
        refusal = too_many(counts, self._max_pairs)
        if refusal is not None:
            raise _Refused(refusal)
        progress.go_on("training")
        await asyncio.to_thread(links.train)
        crash_point("links.trained")
        progress.go_on("scoring")
        pages = links.pairs(run.threshold)
        first = await asyncio.to_thread(_next, pages)
        await self._write(run, first, pages, progress)
        metrics.LINK_PAIRS.inc(progress.pairs)
        logger.info(
            "links: batch %d compared %d pairs of %d profiles and suggests %d",
            *(run.id, progress.pairs, progress.profiles, progress.suggestions),
        )

    async def _read(self, links: LinkEngine, progress: _Progress) -> None:
        """Hand everybody who is active to the engine."""
        after: UUID | None = NIL
        while after is not None:
            progress.go_on("reading")
            async with transaction(self._engine) as tx:
                page = await listing.page(tx, after=after, limit=PAGE)
            people = [person_of(stored, self._rules().traits) for stored in page]
            known: list[Person] = [person for person in people if person is not None]
            if known:
                await asyncio.to_thread(links.add, known)
            progress.profiles += len(known)
            after = UUID(page[-1].id) if len(page) == PAGE else None

    async def _write(
        self,
        run: LinkRun,
        first: list[Pair] | None,
        pages: Iterator[list[Pair]],
        progress: _Progress,
    ) -> None:
        """Make the pairs the open suggestions, all of them or none, and the batch completed."""
        decided = await self._decided()
        progress.go_on("writing")
        async with transaction(self._engine) as tx:
            await _keep_claim(tx, run, progress)
            page = first
            while page is not None:
                fresh = [pair for pair in page if (pair.a, pair.b) not in decided]
                progress.suggestions += await link_suggestions.upsert(tx, run.id, fresh)
                if progress.suggestions > MAX_SUGGESTIONS:
                    raise _Refused(
                        f"more than {MAX_SUGGESTIONS:,} pairs have a score of {run.threshold} or "
                        "more, too many for people to decide: ask for a higher threshold"
                    )
                page = await asyncio.to_thread(_next, pages)
            await link_suggestions.forget_others(tx, run.id)
            await _keep_claim(tx, run, progress)
            await link_runs.end(tx, run)
            crash_point("links.written")

    async def _decided(self) -> set[tuple[str, str]]:
        """Pairs that people have decided on, as the profiles that they are by now."""
        found = await self._kept_apart()
        after = NIL
        while True:
            async with transaction(self._engine) as tx:
                rows = await link_suggestions.decided(tx, after=after, limit=PAGE)
                ids = sorted({id_ for _, *pair in rows for id_ in pair})
                now = await profiles.current(tx, ids)
            for _, a, b in rows:
                first, second = sorted((now.get(a, a), now.get(b, b)))
                found.add((first, second))
            if len(rows) < PAGE:
                return found
            after = rows[-1][0]

    async def _kept_apart(self) -> set[tuple[str, str]]:
        """Pairs of profiles that hold identifiers of which a person said that they are two
        people's."""
        found: set[tuple[str, str]] = set()
        after = str(NIL)
        while True:
            async with transaction(self._engine) as tx:
                links = await cannot_links.page(tx, profile_id=None, after=after, limit=PAGE)
            for link in links:
                first, second = sorted(link.profiles)
                found.add((first, second))
            if len(links) < PAGE:
                return found
            after = links[-1].id


def _next(pages: Iterator[list[Pair]]) -> list[Pair] | None:
    return next(pages, None)


async def _keep_claim(tx: AsyncConnection, run: LinkRun, progress: _Progress) -> None:
    """Raises _Lost when another process has the batch by now."""
    kept = await link_runs.keep(
        tx,
        run,
        phase=progress.phase,
        profiles=progress.profiles,
        pairs=progress.pairs,
        suggestions=progress.suggestions,
    )
    if not kept:
        raise _Lost
