"""Loads and compiles the configuration in force, for the workers and pollers that follow it."""

import logging
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import configuration
from services.orchestrator.storage.configuration import Stored
from shared.errors import Unprocessable
from shared.observability import metrics
from shared.runtime.live import Live

logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StoredBody(Protocol):
    """A published version of any kind."""

    @property
    def key(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def body(self) -> dict[str, object]: ...


class Parse(Protocol[T_co]):
    """Turns a stored body into a value; raises Unprocessable."""

    def __call__(self, document: object, *, key: str, version: int) -> T_co: ...


def live_ruleset(engine: AsyncEngine) -> Live[RuleSet]:
    """The configuration in force, followed as it changes."""
    return Live(engine, _load, _report)


async def _load(tx: AsyncConnection) -> tuple[int, RuleSet]:
    stored = await configuration.load(tx)
    return stored.epoch, compiled(stored)


def _report(ruleset: RuleSet, epoch: int) -> None:
    metrics.RULES_ACTIVE.set(len(ruleset.rules))
    metrics.RULE_INDEX_VERSION.set(epoch)


def compiled(stored: Stored) -> RuleSet:
    """The stored configuration, checked again and compiled.

    What an older version of the program published and this one refuses is left out and logged.
    """
    return RuleSet(
        epoch=stored.epoch,
        rules=_parsed(parse_rule, stored.rules, "rule"),
        policies=_parsed(parse_policy, stored.policies, "contact policy"),
        channels=_parsed(parse_channel, stored.channels, "channel"),
        templates=_parsed(parse_template, stored.templates, "template"),
        resources=_parsed(parse_resource, stored.resources, "resource"),
    )


def _parsed(parse: Parse[T], rows: Iterable[StoredBody], kind: str) -> Iterator[T]:
    for row in rows:
        try:
            yield parse(row.body, key=row.key, version=row.version)
        except Unprocessable as error:
            problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
            logger.error("%s %s version %d is not used: %s", kind, row.key, row.version, problems)
