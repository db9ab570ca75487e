"""Loads the rules in force, for the processes that go by them and follow their changes."""

import logging

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentityRules
from services.profile.domain.identity_document import KEY, parse_identity_rules
from services.profile.storage import definitions
from services.profile.use_cases.live_definitions import traits_of
from shared.errors import NotFound, Unprocessable
from shared.postgres import drafts
from shared.postgres.epochs import epoch, snapshot
from shared.runtime.live import Live

logger = logging.getLogger(__name__)

KIND = "identity_rules"


def live_rules(engine: AsyncEngine) -> Live[Rules]:
    """The rules in force, followed as they change."""
    return Live(engine, _load)


async def rules_of_version(tx: AsyncConnection, version: int) -> IdentityRules:
    """The rules as they were published under a number; 0 are those that are built in.

    Raises NotFound, and Unprocessable for rules that this version of the program refuses.
    """
    if version == 0:
        return IdentityRules()
    found = await drafts.version(tx, KIND, KEY, version)
    if found is None:
        raise NotFound(f"there is no version {version} of the identity rules")
    return parse_identity_rules(found.body, version=version)


async def _load(tx: AsyncConnection) -> tuple[int, Rules]:
    await snapshot(tx)
    now = await epoch(tx)
    identity = IdentityRules()
    for row in await drafts.live(tx, KIND):
        try:
            identity = parse_identity_rules(row.body, version=row.version)
        except Unprocessable as error:
            problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
            logger.error("identity rules version %d are not used: %s", row.version, problems)
    registry = traits_of((await definitions.load(tx)).rows)
    return now, Rules(identity=identity, registry=registry)
