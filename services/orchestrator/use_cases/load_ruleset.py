"""Loads and compiles the configuration in force, for the workers and pollers that follow it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel, default_channels, parse_channel
from services.orchestrator.domain.channel_fallback import (
    journey_with_channel_fallbacks,
    with_channel_fallbacks,
)
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import configuration
from services.orchestrator.storage.configuration import Stored
from services.orchestrator.use_cases.compile_journeys import CompileJourneys
from services.orchestrator.use_cases.open_channels import Open
from services.orchestrator.use_cases.read_experiments import running_of
from services.orchestrator.use_cases.read_stored import StoredBody, parsed
from shared.observability import metrics
from shared.runtime.live import Live


def live_ruleset(engine: AsyncEngine, open_channels: Open) -> Live[RuleSet]:
    """The configuration in force, followed as it changes; the topics of all its channels are asked
    for before it is used."""
    compiler = Compiler()

    async def load(tx: AsyncConnection) -> tuple[int, RuleSet]:
        stored = await configuration.load(tx)
        # In a thread: with very many rules it takes seconds, and the role goes on meanwhile.
        return stored.epoch, await asyncio.to_thread(compiler, stored)

    async def prepare(ruleset: RuleSet) -> None:
        await open_channels(ruleset.channels)

    return Live(engine, load, _report, prepare)


def _report(ruleset: RuleSet, epoch: int) -> None:
    metrics.RULES_ACTIVE.set(len(ruleset.rules))
    metrics.JOURNEYS_ACTIVE.set(len(ruleset.journeys.journeys))
    running = ruleset.experiments.running.values()
    metrics.EXPERIMENTS_RUNNING.set(sum(not one.is_over for one in running))
    metrics.RULE_INDEX_VERSION.set(epoch)


class Compiler:
    """Checks the stored configuration again and compiles it; a rule of which the same version was
    in force before is not read anew.

    What an older version of the program published and this one refuses is left out and logged.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._journeys = CompileJourneys()
        self._channels: dict[str, int] = {}
        self._last: RuleSet | None = None

    def __call__(self, stored: Stored) -> RuleSet:
        """The stored configuration, ready to be used."""
        saved = list(parsed(parse_channel, stored.channels, "channel"))
        versions = {channel.key: channel.version for channel in saved}
        if versions != self._channels:
            self._rules, self._channels = {}, versions  # a rule has the fallbacks of its channels
            self._journeys.forget()
        channels = default_channels() | {channel.key: channel for channel in saved}
        self._rules = {rule.key: rule for rule in self._read(stored.rules, channels)}
        self._last = RuleSet(
            epoch=stored.epoch,
            rules=self._rules.values(),
            policies=parsed(parse_policy, stored.policies, "contact policy"),
            channels=saved,
            templates=parsed(parse_template, stored.templates, "template"),
            resources=parsed(parse_resource, stored.resources, "resource"),
            journeys=self._journeys(
                stored.journeys, partial(journey_with_channel_fallbacks, channels=channels)
            ),
            experiments=running_of(stored.experiments),
            before=self._last,
        )
        return self._last

    def _read(self, rows: Iterable[StoredBody], channels: Mapping[str, Channel]) -> Iterator[Rule]:
        for row in rows:
            known = self._rules.get(row.key)
            if known is not None and known.version == row.version:
                yield known
            else:
                for rule in parsed(parse_rule, [row], "rule"):
                    yield with_channel_fallbacks(rule, channels)
