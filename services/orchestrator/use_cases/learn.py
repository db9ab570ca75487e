"""Follows and keeps what is learned while deciding: prices of scarce resources, and propensities.

Nothing of it is read for an event: a process has the estimates of a few seconds ago.
"""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.estimates import Estimates, totals_of
from services.orchestrator.domain.price import Priced, next_price
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import prices, propensity, resources, timers
from services.orchestrator.use_cases.low_water import LowWater
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

SECONDS = 5.0
MATURED = 5_000
"""So many actions at a time are counted as a no."""


class Learned:
    """The configuration in force with the newest estimates. Call it for the present one."""

    def __init__(self, engine: AsyncEngine, ruleset: Callable[[], RuleSet]) -> None:
        self._engine = engine
        self._ruleset = ruleset
        self._estimates = Estimates()
        self._until = propensity.EVER
        self._joined: tuple[RuleSet, Estimates, RuleSet] | None = None

    def __call__(self) -> RuleSet:
        """Raises Infrastructure before the configuration was loaded."""
        plain, joined = self._ruleset(), self._joined
        if joined is None or joined[0] is not plain or joined[1] is not self._estimates:
            joined = (plain, self._estimates, plain.learned(self._estimates))
            self._joined = joined
        return joined[2]

    async def refresh(self) -> None:
        """Read what changed."""
        async with transaction(self._engine) as tx:
            priced = await prices.read(tx)
            counts, self._until = await propensity.changed(tx, self._until)
        worth = {key: one.price for key, one in priced.items()}
        if not counts and worth == self._estimates.prices:
            return
        known = dict(self._estimates.counts)
        for rule, by_place in counts.items():
            known[rule] = {**known.get(rule, {}), **by_place}
        self._estimates = Estimates(worth, known, totals_of(known))

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until told to stop; what was read stays in force while PostgreSQL is away."""
        while not stopping.is_set():
            try:
                await self.refresh()
            except Infrastructure as error:
                logger.warning("estimates: again in %.0f s: %s", SECONDS, error)
            await wait(stopping, SECONDS)


async def keep_estimates(
    engine: AsyncEngine, ruleset: Callable[[], RuleSet], stopping: asyncio.Event
) -> None:
    """Find new prices, and count actions that are over, until told to stop."""
    low = LowWater()
    while not stopping.is_set():
        try:
            await find_prices(engine, ruleset())
            async with transaction(engine) as tx:
                since = low.since() or propensity.EVER
                last = await propensity.mature(tx, since=since, limit=MATURED)
            if last is not None:
                low.reached(last)
        except Infrastructure as error:
            logger.warning("estimates: again in %.0f s: %s", SECONDS, error)
        await wait(stopping, SECONDS)


async def find_prices(engine: AsyncEngine, ruleset: RuleSet) -> dict[str, Priced]:
    """The prices that changed. Of several processes one finds each."""
    if not ruleset.resources:
        return {}
    async with transaction(engine) as tx:
        at = await timers.now(tx)
        last = await prices.lock(tx, ruleset.resources)
        windows = {(key, one.window(at)[0]) for key, one in ruleset.resources.items()}
        used = await resources.used(tx, windows)
        found = {
            key: price
            for key, resource in ruleset.resources.items()
            if (price := next_price(
                resource, last.get(key), used.get((key, resource.window(at)[0]), 0.0), at
            )) is not None
        }  # fmt: skip
        if found:
            await prices.write(tx, found)
    return found
