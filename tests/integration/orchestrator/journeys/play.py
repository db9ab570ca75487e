"""A play of a seed: steps that everybody takes on the real database, and in the model.

Transactions of one step run side by side. What they did must be what the model does with them in
some order, for each group of people who have to do with one another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import permutations
from random import Random

from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import run_sweeps
from services.orchestrator.use_cases import order_run as ordering
from services.orchestrator.use_cases.sweep_runs import sweep_runs
from shared.contracts.topics import Topics
from shared.errors import Conflict, Infrastructure, Unprocessable
from shared.kafka.records import Record
from shared.postgres.audit import Who
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.journeys.checks import (
    differences,
    kept,
    laws_broken,
    modelled,
    stored,
)
from tests.integration.orchestrator.journeys.drawn import as_told, document
from tests.integration.orchestrator.journeys.town import PARTITIONS, Town
from tests.integration.orchestrator.journeys.units import (
    Batch,
    Link,
    Order,
    Poll,
    Published,
    Sweep,
    Sweeps,
    Unit,
)
from tests.integration.orchestrator.journeys.world import World
from tests.integration.orchestrator.stage import COUNTS, Stage

WHO = Who("1", "ops")
DRIFT = 0.0001
"""In hours: how much later it is with each step, however little that is."""
TRIES = 5

Done = tuple[Unit, str | None]
"""What was committed, and what an operator was answered."""


Act = Callable[[], Awaitable[Done]]


class CrashError(Exception):
    """A process dies before its commit."""


class Play:
    """The stage, the town, the model, and where the workers are."""

    def __init__(self, stage: Stage, town: Town, rng: Random) -> None:
        self.stage, self.town, self.rng = stage, town, rng
        self.steps: list[str] = []
        self.documents = {key: [document(rng)] for key in ("j1", "j2", "j3")[: rng.randint(2, 3)]}
        self.world = World(
            {key: Published([as_told(one) for one in several])
             for key, several in self.documents.items()}
        )  # fmt: skip
        self.owned = {0: [0, 1], 1: [2, 3]}
        self.read = [0] * PARTITIONS
        self.pending: list[Sweep] = []

    async def load(self) -> None:
        """The configuration becomes what was published."""
        async with transaction(self.stage.engine) as tx:
            epoch = await bump_epoch(tx)
        journeys = []
        for key, several in self.documents.items():
            versions = [parse_journey(one, key=key, version=n) for n, one in enumerate(several, 1)]
            paused = self.world.journeys[key].paused
            journeys.append(LiveJourney(versions, live=len(versions), paused=paused))
        self.stage.rules = RuleSet(epoch=epoch, journeys=journeys)

    def note(self, said: str) -> None:
        """Write down what is done."""
        self.steps.append(said)

    def history(self) -> str:
        """The journeys, and all steps so far."""
        journeys = [f"{key}: {several[0]}" for key, several in self.documents.items()]
        return "\n".join([*journeys, *(f"{n}. {one}" for n, one in enumerate(self.steps, 1))])

    def told(self, batch: Batch) -> str:
        """A batch in few words: each profile with its numbers."""
        return " ".join(f"{self.town.called(one.profile)}{one.number}" for one in batch.happenings)

    # What processes do

    def take(self, worker: int) -> list[tuple[Batch, list[Record]]]:
        """The next records of a worker, if there are any."""
        batch = []
        for partition in self.owned[worker]:
            start, many = self.read[partition], self.rng.randint(1, 4)
            batch += self.town.partitions[partition][start : start + many]
        return [(Batch(tuple(one for one, _ in batch)), [record for _, record in batch])] * bool(
            batch
        )

    def move(self, batch: Batch) -> None:
        """The worker has done these."""
        for one in batch.happenings:
            partition = self.town.people.index(one.profile) % PARTITIONS
            places = [
                place for place, (known, _) in enumerate(self.town.partitions[partition])
                if known is one
            ]  # fmt: skip
            self.read[partition] = max(self.read[partition], places[0] + 1)

    def unread_links(self) -> list[Link]:
        """What was said of merges and splits that no worker has read."""
        unread = [
            one
            for several, read in zip(self.town.partitions, self.read, strict=True)
            for one, _ in several[read:]
        ]
        return [one.link for one in unread if one.link is not None]

    async def work(self, batch: Batch, records: Sequence[Record]) -> Done:
        await self.stage.respond(*records)
        return batch, None

    async def poll(self, limit: int = 200) -> Done:
        await self.stage.fire(limit)
        return Poll(), None

    async def order(self, order: Order) -> Done:
        means = ordering.Means(self.stage.engine, lambda: self.stage.rules, Topics(), COUNTS)
        asked = ordering.Order(order.verb, order.step, order.node or None)
        try:
            await ordering.order_run(means, order.run, asked, who=WHO)
        except Conflict:
            return order, "conflict"
        except Unprocessable:
            return order, "refused"
        return order, "done"

    async def sweep(self, limit: int = 200) -> Done:
        """Tell everybody what there is to tell."""
        pending = Sweeps(tuple(self.pending))
        while self.pending:
            told = await sweep_runs(
                self.stage.engine, ruleset=lambda: self.stage.rules, topics=Topics(),
                counts=COUNTS, limit=limit,
            )  # fmt: skip
            if not told:
                self.pending.pop(0)
        return pending, None

    async def add_sweep(self, sweep: Sweep) -> None:
        """All runs of a journey will be told something."""
        self.pending.append(sweep)
        step = None if sweep.rate is None else timedelta(hours=sweep.rate)
        async with transaction(self.stage.engine) as tx:
            await run_sweeps.add(tx, sweep.journey, sweep.kind, step)

    # A step

    async def together(self, *acts: Act) -> None:
        """Do these side by side, then whatever is due, and find the model's order."""
        done = await asyncio.gather(*(_at_last(act) for act in acts))
        await self.settle([one for one in done if not isinstance(one[0], Poll) or len(done) > 1])

    async def settle(self, done: Sequence[Done]) -> None:
        """What is due goes off; then the model has to stand where the database stands."""
        while await self.stage.fire():
            pass
        self.world.now += DRIFT
        found = await stored(self.stage)
        groups = self._groups(done)
        nearest: dict[frozenset[str], list[str]] = {}
        before = self.world
        after = before.copy()
        for several in permutations(done):
            world = before.copy()
            said = [(unit, answer, world.apply(unit)) for unit, answer in several]
            world.apply(Poll())
            for group in list(groups):
                another = differences(found, modelled(world), group - self.town.gone)
                another += [
                    f"{unit} was answered {answer}, not {meant}" for unit, answer, meant in said
                    if isinstance(unit, Order) and answer != meant
                    and world.walkers[unit.run].name.home in group
                ]  # fmt: skip
                nearest[group] = min(nearest.get(group, another), another, key=len)
                if not another:
                    groups.remove(group)
                    after.adopt(world, group)
            if not groups:
                break
        for id_, one in after.walkers.items():
            one.really_entered = found[id_].entered if id_ in found else one.really_entered
        after.keep(await kept(self.stage))
        self.world = after
        broken = [line for group in groups for line in nearest[group]]
        broken += await laws_broken(self.stage)
        assert not broken, "\n".join(broken)

    def _groups(self, done: Sequence[Done]) -> list[frozenset[str]]:
        """The profiles, those together that have to do with one another; whoever is erased only
        with somebody who is not."""
        pairs = [*self.world.into.items()]
        for unit, _ in done:
            if isinstance(unit, Batch):
                pairs += [
                    (one.link.profile, one.link.partner)
                    for one in unit.happenings if one.link is not None
                ]  # fmt: skip
        groups = [frozenset([one]) for one in self.town.people]
        for pair in pairs:
            joined = [group for group in groups if group & {*pair}]
            groups = [group for group in groups if group not in joined] + [
                frozenset().union(*joined)
            ]
        return [group for group in groups if group - self.town.gone]


async def _at_last(act: Act) -> Done:
    """Do it again as long as the database asks for another try."""
    for _ in range(TRIES):
        try:
            return await act()
        except Infrastructure:
            continue
    return await act()
