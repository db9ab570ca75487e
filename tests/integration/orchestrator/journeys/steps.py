"""What may happen next in a play, each drawn by its weight; every step says what it is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from services.orchestrator.use_cases import fire_timers as firing
from shared.kafka.records import Record
from tests.integration.orchestrator.journeys.drawn import (
    BEGIN,
    EVENTS,
    IDS,
    OUTCOMES,
    as_told,
    document,
)
from tests.integration.orchestrator.journeys.play import Act, CrashError, Play
from tests.integration.orchestrator.journeys.town import PARTITIONS
from tests.integration.orchestrator.journeys.units import Batch, Order, Outcome, Sweep, Verb
from tests.integration.orchestrator.journeys.walker import Walker

Step = Callable[[Play], Awaitable[str | None]]
"""Does something; what it did, or None where there was nothing to do."""


async def publish(play: Play) -> str | None:
    """Some updates, mostly of one person."""
    rng, town = play.rng, play.town
    if not town.standing:
        return None
    said, person = [], rng.choice(town.standing)
    for _ in range(rng.choice([1, 2, 2, 3, 5])):
        if rng.random() < 0.3:
            person = rng.choice(town.standing)
        key = rng.choice(["", "1", "2"])
        event = rng.choice([*BEGIN, *BEGIN, *EVENTS, "Irrelevant"])
        said.append(town.happens(person, event, key))
    return "publish " + ", ".join(said)


async def answer(play: Play) -> str | None:
    """A channel says what became of an action; also of one that is long over."""
    rng, town = play.rng, play.town
    asked = [
        (one, node, step) for _, one in sorted(play.world.walkers.items())
        for node, step in one.asked if town.root(one.name.home) not in town.gone
    ]  # fmt: skip
    if not asked:
        return None
    last = [(one, node, step) for one, node, step in asked if one.step == step]
    one, node, step = rng.choice(last or asked)
    channel = _channel(one, node)
    word = rng.choice(OUTCOMES[channel])
    outcome = Outcome(one.name.id, step, word)
    said = town.happens(town.root(one.name.home), f"{channel}.{word}", "", outcome, node)
    return f"answer {said} for {node} {step} of {one.name.id}"


def _channel(one: Walker, node: str) -> str:
    """The channel of the version that asked is not known: any of a node with this id."""
    known = [each for made in one.documents for each in made["nodes"] if each["id"] == node]
    return next(str(each["channel"]) for each in known if "channel" in each)


async def change(play: Play) -> str | None:
    """Somebody joins or leaves a segment."""
    standing = play.town.standing
    if not standing:
        return None
    return play.town.changes(play.rng.choice(standing), play.rng.choice(["vip", "vip", "out"]))


async def work(play: Play) -> str | None:
    """One worker does its next batch."""
    worker = play.rng.choice([0, 1])
    for batch, records in play.take(worker):
        play.note(f"worker {worker} does {play.told(batch)}")
        await play.together(partial(play.work, batch, records))
        play.move(batch)
        return ""
    return None


async def crash(play: Play) -> str | None:
    """A worker dies before its commit."""
    worker = play.rng.choice([0, 1])
    for batch, records in play.take(worker):
        play.note(f"worker {worker} dies at {play.told(batch)}")
        with suppress(CrashError):
            await play.stage.respond(*records, then=CrashError())
        await play.settle([])
        return ""
    return None


async def redeliver(play: Play) -> str | None:
    """A partition is read again from an earlier place."""
    partition = play.rng.randrange(PARTITIONS)
    back = min(play.rng.randint(1, 4), play.read[partition])
    play.read[partition] -= back
    return f"partition {partition} goes back by {back}" if back else None


async def rebalance(play: Play) -> str | None:
    """Each worker has other partitions from now on."""
    several = list(range(PARTITIONS))
    play.rng.shuffle(several)
    cut = play.rng.randint(1, PARTITIONS - 1)
    play.owned = {0: sorted(several[:cut]), 1: sorted(several[cut:])}
    return f"workers have {play.owned}"


async def together(play: Play) -> str | None:
    """Both workers, pollers, an operator and a sweep, side by side."""
    rng = play.rng
    acts: list[Act] = []
    done: list[tuple[Batch, list[Record]]] = []
    said = []
    twice = rng.random() < 0.15
    for worker in (0, 0) if twice else (0, 1):
        taken = list(done) if twice and done else play.take(worker)
        for batch, records in taken:
            acts.append(partial(play.work, batch, records))
            done.append((batch, records))
            said.append(f"worker {worker} does {play.told(batch)}")
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        acts.append(play.poll)
        said.append("a poller")
    if len(acts) < 4 and rng.random() < 0.3 and (order := _order(play)) is not None:
        acts.append(partial(play.order, order))
        said.append(str(order))
    if len(acts) < 4 and play.pending and rng.random() < 0.5:
        acts.append(play.sweep)
        said.append(f"sweeps {play.pending}")
    if not acts:
        return None
    play.note("together: " + " | ".join(said))
    await play.together(*acts)
    for batch, _ in done:
        play.move(batch)
    return ""


async def poll(play: Play) -> str | None:
    """What is due goes off; perhaps the poller dies first, perhaps there are two."""
    how = play.rng.choice(["one", "two", "dies", "few"])
    play.note(f"poll: {how}")
    if how == "dies":
        dying = patch.object(firing, "crash_point", side_effect=CrashError)
        with dying, suppress(CrashError):
            await play.stage.fire()
    elif how == "few":
        await play.stage.fire(1)
    elif how == "two":
        await asyncio.gather(play.stage.fire(2), play.stage.fire(3))
    await play.settle([])
    return ""


async def clock(play: Play) -> str | None:
    """Time goes by, and nobody looks."""
    hours = play.rng.choice([1, 2, 5, 10, 20, 30, 45])
    await play.stage.advance(timedelta(hours=hours))
    play.world.now += hours
    return f"{hours} hours go by"


async def edit(play: Play) -> str | None:
    """A journey gets another version."""
    key = play.rng.choice(sorted(play.documents))
    made = document(play.rng, play.documents[key][-1])
    play.documents[key].append(made)
    play.world.publish(key, as_told(made))
    await play.load()
    await play.add_sweep(Sweep(key, "edited"))
    return f"edit {key}: {made}"


async def pause(play: Play) -> str | None:
    """A journey is paused, or goes on."""
    key = play.rng.choice(sorted(play.documents))
    journey = play.world.journeys[key]
    journey.paused = not journey.paused
    await play.load()
    if journey.paused:
        return f"pause {key}"
    rate = play.rng.choice([None, None, 1, 5])
    if play.town.gone:  # the model does not know how many places they had in the line
        rate = None
    await play.add_sweep(Sweep(key, "resumed", rate))
    return f"resume {key} at {rate}"


async def sweep(play: Play) -> str | None:
    """Whoever is to be told is told."""
    if not play.pending:
        return None
    play.note(f"sweeps {play.pending}")
    await play.together(partial(play.sweep, 2))
    return ""


async def order(play: Play) -> str | None:
    """An operator orders something about one run."""
    found = _order(play)
    if found is None:
        return None
    play.note(str(found))
    await play.together(partial(play.order, found))
    return ""


def _order(play: Play) -> Order | None:
    rng = play.rng
    runs = [
        one for _, one in sorted(play.world.walkers.items())
        if one.name.home not in play.town.gone
    ]  # fmt: skip
    runs = [one for one in runs if one.ended is None] or runs
    if not runs:
        return None
    one = rng.choice(runs)
    verb: Verb = rng.choice(("move", "move", "skip", "skip", "stop", "pause", "resume", "retry"))
    seen = one.step if rng.random() < 0.9 else one.step + 1
    return Order(one.name.id, verb, seen, rng.choice([*IDS, "end"]) if verb == "move" else "")


async def merge(play: Play) -> str | None:
    """Two profiles turn out to be one person; the older one stands for both."""
    standing = play.town.standing
    if len(standing) < 2:
        return None
    winner, loser = sorted(play.rng.sample(standing, 2))
    return "merge " + play.town.merge(loser, winner)


async def undo(play: Play) -> str | None:
    """They were two after all."""
    merged = play.town.merged
    return "undo " + play.town.undo(play.rng.choice(merged)) if merged else None


async def erase(play: Play) -> str | None:
    """A person is erased. Who was parted from a family must be known to be so before: an erasure
    of a profile that was merged takes along all that the one that stands for it has."""
    standing = play.town.standing
    if len(standing) < 2 or any(one.rate for one in play.pending):
        return None
    person = play.rng.choice(standing)
    family = {one for one in play.town.people if play.town.root(one) == person}
    parted = {link.partner for link in play.unread_links() if not link.merged}
    if len(family) > 1 and family & parted:
        return None
    return "erase " + play.town.erase(person)


WEIGHTS: dict[Step, float] = {
    publish: 10, answer: 4, change: 4, work: 9, crash: 2, redeliver: 3, rebalance: 1, together: 8,
    poll: 3, clock: 8, edit: 2, pause: 2, sweep: 2, order: 4, merge: 2, undo: 2, erase: 0.4,
}  # fmt: skip


async def step(play: Play) -> None:
    """The next one that has anything to do."""
    while True:
        (chosen,) = play.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        said = await chosen(play)
        if said:
            play.note(said)
        if said is not None:
            return


async def finish(play: Play) -> None:
    """Everything is read, nothing is paused, and time goes by until all runs are over."""
    for worker in (0, 1):
        while taken := play.take(worker):
            ((batch, records),) = taken
            play.note(f"at the end, worker {worker} does {play.told(batch)}")
            await play.together(partial(play.work, batch, records))
            play.move(batch)
    for key, journey in play.world.journeys.items():
        if journey.paused:
            journey.paused = False
            await play.add_sweep(Sweep(key, "resumed"))
    await play.load()
    await play.together(play.sweep)
    for one in [one for one in play.world.walkers.values() if one.by_hand and not one.ended]:
        if one.name.home not in play.town.gone:
            await play.together(partial(play.order, Order(one.name.id, "resume", one.step)))
    for _ in range(5):
        play.note(await clock(play) or "")
        await play.stage.advance(timedelta(hours=100))
        play.world.now += 100
        await play.settle([])
