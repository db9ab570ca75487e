"""One chaos run: a steady flow in, trouble made by the test, then everything is checked."""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg

from shared import clock
from shared.contracts.topics import Topics
from shared.kafka.factory import build_producer
from tests.chaos import observe
from tests.chaos.flow import CHANNELS, RULES, Flow
from tests.chaos.leases import lease_history, leases_now, remember_leases, sample_leases
from tests.chaos.rules import publish_rules
from tests.oracle.actions import cap_bounds, expected_actions
from tests.oracle.identity import resolve
from tests.oracle.invariants import (
    DeadLetter,
    Fates,
    LeaseState,
    Passed,
    Update,
    actions_equal,
    counts_equal,
    each_record_has_one_fate,
    fates,
    first_copies,
    kept_once,
    letters_passed,
    offsets_conserved,
    positions_advance,
    profiles_equal,
    raw_passed,
    updates_in_order,
)
from tests.oracle.profiles import ExpectedProfile, expected_profiles
from tests.support.kafka import end_offsets
from tests.support.postgres import Database
from tests.support.processes import RoleProcess, RoleProcesses
from tests.support.settled import FAILURES, HOPS, until_settled
from tests.support.stack import Stack

PUBLISH_SECONDS = 0.25
COLD = "GroupCoordinatorNotAvailableError"
"""Logged as an error while a new broker makes its offsets topic for the first consumers."""


@dataclass(slots=True)
class Run:
    """Everything a chaos test needs, built by `chaos_run`."""

    stack: Stack
    topics: Topics
    database: Database
    owner: asyncpg.Connection
    roles: RoleProcesses
    flow: Flow
    draw: random.Random
    samples: list[LeaseState] = field(default_factory=list)

    @property
    def raw_topics(self) -> list[str]:
        """The channel topics the flow goes to."""
        return [self.topics.channel(channel) for channel in CHANNELS]

    @asynccontextmanager
    async def flowing(self, rate: int) -> AsyncIterator[None]:
        """Publish about `rate` events a second for as long as the block lasts."""
        stop = asyncio.Event()
        pump = asyncio.create_task(self._pump(rate, stop))
        try:
            yield
        finally:
            stop.set()
            await pump

    async def _pump(self, rate: int, stop: asyncio.Event) -> None:
        producer = build_producer(self.stack.kafka, client_id="flow")
        await producer.start()
        try:
            while not stop.is_set():
                for message in self.flow.next(round(rate * PUBLISH_SECONDS)):
                    await producer.send(message.topic, message.value, key=message.key)
                await producer.flush()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), PUBLISH_SECONDS)
        finally:
            await producer.stop()

    def start(self, service: str, role: str, member: str = "", **extra: str) -> RoleProcess:
        """Start a role; with a `member` name it takes its old partitions back at once."""
        settings = {"CONCERT_MEMBER": member, **extra} if member else extra
        return self.roles.start(service, role, extra=settings)

    async def settle(self, hops: Collection[str] = (*HOPS, FAILURES)) -> None:
        """Wait until nothing is left to do."""
        await until_settled(self.owner, self.stack.kafka, self.topics, CHANNELS, hops=hops)

    async def violations(self) -> dict[str, list[str]]:
        """Every invariant that does not hold, with what was found."""
        kafka = self.stack.kafka
        records = await observe.raw_records(kafka, self.raw_topics)
        found = fates(records)
        identities = resolve(first_copies(found))
        done = await observe.applied(self.owner)
        dead = await observe.dead_letters(kafka, self.raw_topics)
        own = [self.topics.touchpoints, self.topics.profile_updates]
        lost = [f"{letter} on our own topic" for letter in await observe.dead_letters(kafka, own)]
        partitions = await observe.updates(kafka, self.topics)
        shown, differences = await observe.profiles(self.owner, partitions)
        sent = await observe.sent_actions(kafka, self.topics.actions("web"))
        capped = [bounds for rule in RULES if rule.cap for bounds in cap_bounds(rule, identities)]
        history, rows = await lease_history(self.owner), await leases_now(self.owner)
        expected = expected_profiles(identities)
        checks = {
            "I1": each_record_has_one_fate(found, done.first, done.duplicates, dead),
            "I1 own topics": lost,
            "I1 failed events": kept_once(dead, await observe.kept(self.owner)),
            "I2": profiles_equal(expected, shown, identities.contested),
            "I2 database": profiles_equal(expected, await self._stored(), identities.contested),
            "I2 table and topic": differences,
            "I3": updates_in_order(partitions),
            "I4": actions_equal(expected_actions(RULES, identities), sent, capped),
            "I6": positions_advance(history, await self._ends()),
            "no unexpected errors": self._errors(),
            "I10": offsets_conserved([*self.samples, *rows]),
            "I10 counts": counts_equal(rows, await self._passed(found, dead, partitions)),
        }
        assert len(records) == len(self.flow.sent)
        print(
            f"seed {self.flow.seed}: {len(records)} records, {len(expected)} profiles, "
            f"{identities.merges} merges, {len(dead)} dead letters, {len(set(sent))} actions, "
            f"{sum(map(len, partitions))} updates, {len(self.samples)} lease snapshots"
        )
        return {name: problems for name, problems in checks.items() if problems}

    async def _stored(self) -> list[ExpectedProfile]:
        """The profiles as a role that starts now reads them from the database."""
        api = await self.roles.start_ready("profile", "api")
        assert api.api_url is not None
        token = (self.stack.home.root / "admin-token").read_text().strip()
        found = await observe.profiles_by_api(api.api_url, token)
        api.terminate()
        return found

    async def _passed(
        self, found: Fates, dead: Sequence[DeadLetter], updates: Iterable[Sequence[Update]]
    ) -> dict[str, Passed]:
        """What became of the records at every hop; what the next one saw twice, it dropped."""
        touchpoints, seen = self.topics.touchpoints, self.topics.profile_updates
        distinct = {
            touchpoints: len(found.events),
            seen: len({(one.profile_id, one.seq) for part in updates for one in part}),
        }
        passed = raw_passed(found, self.raw_topics) | letters_passed(dead, self.raw_topics)
        for topic, count in distinct.items():
            ends = await end_offsets(self.stack.kafka, topic)
            passed[topic] = Passed(count, sum(ends.values()) - count, 0)
        return passed

    def _errors(self) -> list[str]:
        """Errors in the logs: a kill is survived without the code meeting anything unexpected."""
        lines = (line for process in self.roles.started for line in process.log().splitlines())
        errors = (line for line in lines if '"level":"ERROR"' in line or "Traceback" in line)
        return [line[:2000] for line in errors if COLD not in line]

    async def _ends(self) -> dict[tuple[str, str, int], int]:
        """The end of the log for each lease row there is."""
        tops = {state.topic for state in await leases_now(self.owner)}
        ends = {topic: await end_offsets(self.stack.kafka, topic) for topic in tops}
        return {
            (state.group, state.topic, state.partition): ends[state.topic][state.partition]
            for state in await leases_now(self.owner)
        }


@asynccontextmanager
async def chaos_run(
    stack: Stack,
    topics: Topics,
    database: Database,
    roles: RoleProcesses,
    seed: int,
    *,
    rules: bool = True,
) -> AsyncIterator[Run]:
    """A run with its rules live, its lease rows watched, and no worker started yet.

    Without `rules` nothing is published, for runs that end at the profile.
    """
    owner = await asyncpg.connect(database.owner_url)
    flow = Flow(topics, seed, clock.now)
    run = Run(stack, topics, database, owner, roles, flow, random.Random(seed))
    sampler = None
    try:
        await remember_leases(owner)
        if rules:
            api = await roles.start_ready("orchestrator", "api")
            assert api.api_url is not None
            await publish_rules(api.api_url, stack.home.root)
            api.terminate()
        sampler = asyncio.create_task(sample_leases(database.owner_url, run.samples))
        yield run
    finally:
        if sampler is not None:
            sampler.cancel()
        await asyncio.gather(*([sampler] if sampler else []), return_exceptions=True)
        await owner.close()
