"""Loads and compiles the configuration in force, for the workers and pollers that follow it."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel, default_channels, parse_channel
from services.orchestrator.domain.channel_fallback import with_channel_fallbacks
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule import Rule
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
    compiler = Compiler()

    async def load(tx: AsyncConnection) -> tuple[int, RuleSet]:
        stored = await configuration.load(tx)
        # In a thread: with very many rules it takes seconds, and the role goes on meanwhile.
        return stored.epoch, await asyncio.to_thread(compiler, stored)

    return Live(engine, load, _report)


def _report(ruleset: RuleSet, epoch: int) -> None:
    metrics.RULES_ACTIVE.set(len(ruleset.rules))
    metrics.RULE_INDEX_VERSION.set(epoch)


class Compiler:
    """Checks the stored configuration again and compiles it; a rule of which the same version was
    in force before is not read anew.

    What an older version of the program published and this one refuses is left out and logged.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._channels: dict[str, int] = {}
        self._last: RuleSet | None = None

    def __call__(self, stored: Stored) -> RuleSet:
        """The stored configuration, ready to be used."""
        saved = list(_parsed(parse_channel, stored.channels, "channel"))
        versions = {channel.key: channel.version for channel in saved}
        if versions != self._channels:
            self._rules, self._channels = {}, versions  # a rule has the fallbacks of its channels
        channels = default_channels() | {channel.key: channel for channel in saved}
        self._rules = {rule.key: rule for rule in self._read(stored.rules, channels)}
        self._last = RuleSet(
            epoch=stored.epoch,
            rules=self._rules.values(),
            policies=_parsed(parse_policy, stored.policies, "contact policy"),
            channels=saved,
            templates=_parsed(parse_template, stored.templates, "template"),
            resources=_parsed(parse_resource, stored.resources, "resource"),
            before=self._last,
        )
        return self._last

    def _read(self, rows: Iterable[StoredBody], channels: Mapping[str, Channel]) -> Iterator[Rule]:
        for row in rows:
            known = self._rules.get(row.key)
            if known is not None and known.version == row.version:
                yield known
            else:
                for rule in _parsed(parse_rule, [row], "rule"):
                    yield with_channel_fallbacks(rule, channels)


def _parsed(parse: Parse[T], rows: Iterable[StoredBody], kind: str) -> Iterator[T]:
    for row in rows:
        try:
            yield parse(row.body, key=row.key, version=row.version)
        except Unprocessable as error:
            problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
            logger.error("%s %s version %d is not used: %s", kind, row.key, row.version, problems)
