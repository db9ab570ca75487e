"""What this process knows of sources and keys: a copy of the tables, at most seconds old.

Events must go on when PostgreSQL is away, so a copy that was once read is kept until a newer one
can be had. A key that the copy does not know is looked up anew before it is refused; one that has
expired since the copy was read is refused by this process's own clock.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.failed_event import Copy
from services.ingest.domain.source import Source
from services.ingest.domain.source_key import COLLECT, Scope, key_hash
from services.ingest.storage import failed_events, sources
from services.ingest.storage.sources import LiveKey
from shared import clock
from shared.errors import Forbidden, Infrastructure
from shared.postgres.transaction import transaction

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
"""So a source that was changed, or a key that was revoked, is so everywhere within this time."""
UNKNOWN_KEY_SECONDS = 0.2
"""A copy younger than this is believed when it does not know a key."""
HELD_SECONDS = 0.5
"""How long after its begin a reading is waited for by those whom the copy there is can serve."""


class Registry:
    """The sources and live keys of one process."""

    def __init__(self, engine: AsyncEngine, *, now: Callable[[], datetime] = clock.now) -> None:
        self._engine = engine
        self._now = now
        self._sources: Mapping[str, Source] | None = None
        self._keys: Mapping[bytes, LiveKey] = {}
        self._reading: asyncio.Task[None] | None = None
        self._began_at = self._read_at = self._failed_at = self._changed_at = float("-inf")

    async def sources(self) -> Mapping[str, Source]:
        """All registered sources by id.

        Raises Infrastructure only if they could not be read even once.
        """
        await self._refresh(REFRESH_SECONDS)
        return self._known()

    async def reread(self) -> Mapping[str, Source]:
        """All registered sources by id, as they are now. Raises Infrastructure."""
        if not await self._refresh(0.0, patient=True):
            raise Infrastructure("postgres", "an unknown source could not be looked up")
        return self._known()

    async def source_of(self, key: str, scope: Scope = COLLECT) -> Source | None:
        """The source that a key belongs to; None for a key that is not known or over.

        Raises Forbidden for a key without the scope, Infrastructure for an unknown key when
        PostgreSQL cannot be asked about it.
        """
        hashed = key_hash(key)
        await self._refresh(REFRESH_SECONDS)
        if hashed not in self._keys and not await self._refresh(UNKNOWN_KEY_SECONDS, patient=True):
            raise Infrastructure("postgres", "an unknown key could not be looked up")
        known = self._keys.get(hashed)
        if known is None or (known.expires_at is not None and known.expires_at <= self._now()):
            return None
        if scope not in known.scopes:
            raise Forbidden(f"This needs the scope {scope}; the key has {', '.join(known.scopes)}.")
        return self._known()[known.source_id]

    async def received_first(self, copies: Collection[Copy]) -> dict[Copy, datetime]:
        """When the failed events were received that these replays stand for; of made-up ones none.

        Raises Infrastructure when PostgreSQL cannot be asked.
        """
        async with transaction(self._engine) as tx:
            return await failed_events.originals(tx, copies)

    def forget(self) -> None:
        """Read the tables again at the next use: this process has just changed them."""
        self._changed_at = clock.monotonic_seconds()

    def _known(self) -> Mapping[str, Source]:
        assert self._sources is not None  # noqa: S101 - `_refresh` returns only with a copy
        return self._sources

    async def _refresh(self, seconds: float, *, patient: bool = False) -> bool:
        """Have a copy that was read in the last `seconds`, or since; whether it is that young.

        There is one reading at a time, for everybody who waits. Once there is a copy, it is waited
        for until HELD_SECONDS after its begin, and one that failed is not repeated within
        `seconds`: a database that hangs holds up nobody for longer whose key is known. Who is
        `patient` waits to its end. Raises Infrastructure if there is no copy at all.
        """
        asked_at = clock.monotonic_seconds()
        earliest = max(asked_at - seconds, self._changed_at)
        while self._read_at < earliest:
            if self._sources is None and self._failed_at >= asked_at:
                raise Infrastructure("postgres", "the sources could not be read even once")
            if self._sources is not None and self._failed_at >= earliest:
                return False
            reading = self._reading or self._begin()
            held = patient or self._sources is None
            left = self._began_at + HELD_SECONDS - clock.monotonic_seconds()
            await asyncio.wait({reading}, timeout=None if held else max(0.0, left))
            if not reading.done():
                return False
            reading.result()
        return True

    def _begin(self) -> asyncio.Task[None]:
        """A reading of its own: it goes on when those who wait for it have gone."""
        self._began_at = clock.monotonic_seconds()
        self._reading = asyncio.create_task(self._read(self._began_at), name="sources")
        return self._reading

    async def _read(self, began_at: float) -> None:
        try:
            async with transaction(self._engine) as tx:
                self._sources, self._keys = await sources.everything(tx)
            self._read_at = began_at
        except Infrastructure as error:
            self._failed_at = clock.monotonic_seconds()
            logger.warning("sources could not be read, the known ones hold: %s", error)
        finally:
            self._reading = None
