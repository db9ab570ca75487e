"""Keeps the configuration in force compiled in memory: loaded anew when its epoch has moved.

A publication bumps the epoch in its own transaction; every worker and poller asks for it twice a
second, so a change is live everywhere within two seconds.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.contact_policy import parse_policy
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import configuration
from services.orchestrator.storage.configuration import Stored
from shared.errors import Infrastructure, Unprocessable
from shared.observability import metrics
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
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


class LiveRuleSet:
    """The configuration in force, as this process knows it. Call it for the present `RuleSet`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._current: RuleSet | None = None

    def __call__(self) -> RuleSet:
        """The configuration that was loaded last. Raises Infrastructure before the first load."""
        if self._current is None:
            raise Infrastructure("postgres", "the configuration is not loaded yet")
        return self._current

    async def refresh(self) -> bool:
        """Load the configuration if it changed; whether it did."""
        async with transaction(self._engine) as tx:
            epoch = await configuration.epoch(tx)
        if self._current is not None and self._current.epoch == epoch:
            return False
        async with transaction(self._engine) as tx:
            stored = await configuration.load(tx)
        self._current = compiled(stored)
        metrics.RULES_ACTIVE.set(len(self._current.rules))
        metrics.RULE_INDEX_VERSION.set(stored.epoch)
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
    )


def _parsed(parse: Parse[T], rows: Iterable[StoredBody], kind: str) -> Iterator[T]:
    for row in rows:
        try:
            yield parse(row.body, key=row.key, version=row.version)
        except Unprocessable as error:
            problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
            logger.error("%s %s version %d is not used: %s", kind, row.key, row.version, problems)
