"""Put rules and journeys in force whose event leaves are counted by now."""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import journey_leaves, rule_leaves
from services.orchestrator.use_cases.follow_live import tell_followers
from services.orchestrator.use_cases.publish_draft import Register
from shared.errors import Infrastructure, Unprocessable
from shared.postgres import epochs
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


async def warm_rules(engine: AsyncEngine, register: Register) -> list[str]:
    """Ask for the leaves that rules and journeys wait for, registering them again; the rules, then
    the journeys, of which a version is in force from now on. Raises Infrastructure when PostgreSQL
    or the profile service does not answer."""
    async with transaction(engine) as tx:
        waiting = [await rule_leaves.unready(tx), await journey_leaves.unready(tx)]
    leaves = [leaf for one in waiting for leaf in one.values()]
    if not leaves:
        return []
    states = await register(leaves)
    counted = [name for name, ready in states.items() if ready]
    if not counted:
        return []
    async with transaction(engine) as tx:
        warm = await rule_leaves.mark_ready(tx, counted)
        journeys = await journey_leaves.mark_ready(tx, counted)
        warm += journeys
        if warm:
            await epochs.bump_epoch(tx)
        for key in journeys:
            await tell_followers(tx, key)
    return warm


async def keep_warming(engine: AsyncEngine, register: Register, stopping: asyncio.Event) -> None:
    """Do it again and again until told to stop."""
    while not stopping.is_set():
        try:
            for rule in await warm_rules(engine, register):
                logger.info("%s: its event leaves are counted, it is in force", rule)
        except Infrastructure as error:
            logger.warning("event leaves: again in %.1f s: %s", POLL_SECONDS, error)
        except Unprocessable as error:
            logger.error("event leaves cannot be counted any more: %s", error)
        await wait(stopping, POLL_SECONDS)
