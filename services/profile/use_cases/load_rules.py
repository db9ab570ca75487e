"""Loads the rules in force, for the processes that go by them and follow their changes."""

import logging

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.consent_document import parse_opt_outs, parse_purpose
from services.profile.domain.consent_rules import DEFAULT_OPT_OUTS, ConsentRules
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
PURPOSES = "consent_purpose"
OPT_OUTS = "opt_out_rules"


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
            _not_used("identity rules", row.version, error)
    registry = traits_of((await definitions.load(tx)).rows)
    return now, Rules(identity=identity, registry=registry, consents=await _consents(tx))


async def _consents(tx: AsyncConnection) -> ConsentRules:
    """The declared purposes and the rules for opting out; what this version of the program refuses
    is as if it were not there."""
    found = {}
    for row in await drafts.live(tx, PURPOSES):
        try:
            found[row.key] = parse_purpose(row.body, key=row.key)
        except Unprocessable as error:
            _not_used(f"consent purpose {row.key}", row.version, error)
    opt_outs = DEFAULT_OPT_OUTS
    for row in await drafts.live(tx, OPT_OUTS):
        try:
            opt_outs = parse_opt_outs(row.body)
        except Unprocessable as error:
            _not_used("rules for opting out", row.version, error)
    return ConsentRules(found, opt_outs)


def _not_used(what: str, version: int, error: Unprocessable) -> None:
    problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
    logger.error("%s version %d: not used: %s", what, version, problems)
