"""What this process knows of sources and keys: a copy of the tables, at most seconds old.

Events must go on when PostgreSQL is away, so a copy that was once read is kept until a newer one
can be had. A key that the copy does not know is looked up anew before it is refused.
"""

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.domain.source_key import key_hash
from services.ingest.storage import sources
from shared import clock
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
"""So a source that was changed, or a key that was revoked, is so everywhere within this time."""
UNKNOWN_KEY_SECONDS = 0.2
"""A copy younger than this is believed when it does not know a key."""


class Registry:
    """The sources and live keys of one process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sources: Mapping[str, Source] = {}
        self._keys: Mapping[bytes, str] = {}
        self._read_at: float | None = None
        self._tried_at = 0.0
        self._reading = asyncio.Lock()

    async def sources(self) -> Mapping[str, Source]:
        """All registered sources by id.

        Raises Infrastructure only if they could not be read even once.
        """
        await self._refresh(REFRESH_SECONDS)
        return self._sources

    async def source_of(self, key: str) -> Source | None:
        """The source that a key belongs to; None for a key that is not known.

        Raises Infrastructure for an unknown key when PostgreSQL cannot be asked about it.
        """
        hashed = key_hash(key)
        await self._refresh(REFRESH_SECONDS)
        if hashed not in self._keys and not await self._refresh(UNKNOWN_KEY_SECONDS, patient=True):
            raise Infrastructure("postgres", "an unknown key could not be looked up")
        source_id = self._keys.get(hashed)
        return None if source_id is None else self._sources[source_id]

    def forget(self) -> None:
        """Read the tables again at the next use: this process has just changed them."""
        self._tried_at = float("-inf")

    async def _refresh(self, seconds: float, *, patient: bool = False) -> bool:
        """Read the tables unless that was tried within `seconds`; whether the copy is that young.

        Who is `patient` waits for a reading that is under way; others take the copy there is, so
        that a database that hangs holds up nobody whose key is known. Raises Infrastructure if
        there is no copy at all.
        """
        tried = clock.monotonic_seconds() - self._tried_at < seconds and self._read_at is not None
        if tried and not (patient and self._reading.locked()):
            return self._read_at == self._tried_at
        async with self._reading:
            now = clock.monotonic_seconds()
            if now - self._tried_at < seconds and self._read_at is not None:
                return self._read_at == self._tried_at
            self._tried_at = now
            try:
                async with transaction(self._engine) as tx:
                    self._sources, self._keys = await sources.everything(tx)
            except Infrastructure as error:
                if self._read_at is None:
                    raise
                logger.warning("sources could not be read, the known ones hold: %s", error)
                return False
            self._read_at = now
            return True
