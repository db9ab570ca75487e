"""Keeps the configuration in force compiled in memory: loaded anew when its epoch has moved.

A publication bumps the epoch in its own transaction; every process asks for it twice a second, so
a change is live everywhere within two seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import Infrastructure
from shared.postgres.epochs import epoch
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
T = TypeVar("T")


class Live(Generic[T]):
    """The configuration in force, as this process knows it. Call it for the present one.

    `load` is given a fresh transaction and returns all of it, compiled, with its epoch. `prepare`
    is waited for before what was loaded is in force, `loaded` is told of it afterwards.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        load: Callable[[AsyncConnection], Awaitable[tuple[int, T]]],
        loaded: Callable[[T, int], None] = lambda _configuration, _epoch: None,
        prepare: Callable[[T], Awaitable[None]] | None = None,
    ) -> None:
        self._engine = engine
        self._load = load
        self._loaded = loaded
        self._prepare = prepare
        self._current: tuple[int, T] | None = None

    def __call__(self) -> T:
        """The configuration that was loaded last. Raises Infrastructure before the first load."""
        if self._current is None:
            raise Infrastructure("postgres", "the configuration is not loaded yet")
        return self._current[1]

    async def refresh(self) -> bool:
        """Load the configuration if it changed; whether it did."""
        async with transaction(self._engine) as tx:
            now = await epoch(tx)
        if self._current is not None and self._current[0] == now:
            return False
        async with transaction(self._engine) as tx:
            now, loaded = await self._load(tx)
        if self._prepare is not None:
            await self._prepare(loaded)
        if self._current is not None and self._current[0] > now:
            return False  # somebody else loaded what is newer meanwhile
        self._current = now, loaded
        self._loaded(loaded, now)
        return True

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the epoch until told to stop; what was loaded stays in force while PostgreSQL
        is away."""
        while not stopping.is_set():
            try:
                await self.refresh()
            except Infrastructure as error:
                logger.warning("configuration: again in %.1f s: %s", POLL_SECONDS, error)
            await wait(stopping, POLL_SECONDS)
