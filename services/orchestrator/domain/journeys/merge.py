"""Two runs of what turns out to be one person: which goes on, and how they part again.

Of runs with one key, the one that reached the person with the most nodes goes on; of equals the one
that entered first. It passes once over every node that another of them had done, so that nobody is
welcomed twice. The others step aside: they keep where they stand, and come back when the merge is
undone; to that node once more where what they had asked for there was taken back. A journey with
`always` lets one person in several times; its runs are all kept.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.journeys.facts import (
    Merged,
    Parted,
    Person,
    Released,
    SteppedAside,
    TakenBack,
    TookOver,
)
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.walk import Walk
from services.orchestrator.domain.run import MERGED, Absorbed, Held, Run, effect_id

Told = list[tuple[Run, list[Merged | SteppedAside | TookOver | Parted | Released]]]
"""Runs, each with the facts that it is to be given, in their order."""


def unite(
    journey: Journey,
    runs: Sequence[Run],
    winner: str,
    seq: int,
    unheard: Collection[UUID] = frozenset(),
) -> Told:
    """What a merge tells the runs of both profiles in the journey. `winner` stands for the person
    now, and its last update has the number `seq`. `unheard` are the effects of steps that the
    person will not hear of, when they are taken back."""
    told: Told = [(run, [Merged(winner, seq)]) for run in runs]
    _choose(journey, told, {run.id for run in runs if run.aside_for is not None}, unheard)
    return told


def divide(
    journey: Journey,
    runs: Sequence[Run],
    back: Collection[str],
    profile_id: str,
    person: Person,
    unheard: Collection[UUID] = frozenset(),
) -> Told:
    """What a split, or the undoing of a merge, tells the runs that go with one of the two people:
    those that the profiles `back` began, for whom `profile_id` stands. `unheard` is as in `unite`.

    To be asked for each side, with all runs of it; those of the other one do not matter.
    """
    staying = [run for run in runs if run.home in back]
    here = {run.id for run in staying}
    named = {one.run for run in staying for one in run.absorbed}
    gone = frozenset((named | {run.aside_for for run in staying if run.aside_for}) - here)
    told: Told = [(run, [Parted(profile_id, gone, person)]) for run in staying]
    aside = {run.id for run in staying if run.aside_for is not None and run.aside_for not in gone}
    _choose(journey, told, aside, unheard)
    for _, facts in told:  # who goes on does so knowing what the others had done
        facts.append(Released(person))
    return told


def step_aside(walk: Walk, aside_for: UUID, *, again: bool) -> None:
    """Take no step any more while another run goes on; what is in flight is taken back. With
    `again`, the first step of one that comes back is to its node."""
    run = walk.run
    if run.is_over:
        return
    if again and run.node is not None:
        walk.change(held=Held("node", run.node), due=None)
    walk.change(
        status="exited", reason=MERGED, ended_at=walk.now, aside_for=aside_for, wakes_at=None,
        gen=run.gen + 1,
    )  # fmt: skip
    walk.taken_back.append(TakenBack(run.id, MERGED))
    walk.note("aside", str(aside_for))


def take_over(walk: Walk, taken: UUID, nodes: frozenset[str]) -> None:
    """Go on for another run as well: pass over what it did."""
    run = walk.run
    if not run.is_over and all(one.run != taken for one in run.absorbed):
        walk.change(absorbed=(*run.absorbed, Absorbed(taken, nodes - run.touched)))


def part(walk: Walk, profile_id: str, gone: frozenset[UUID]) -> None:
    """The person is two again: a run that stood aside for one of somebody else stands where it
    stood. What it waited for may be over by now; then its timer goes off at once."""
    run = walk.run
    if run.profile_id != profile_id or run.aside_for in gone:
        walk.timer_gone = True
        walk.note("parted", profile_id)
    walk.change(
        profile_id=profile_id, absorbed=tuple(one for one in run.absorbed if one.run not in gone)
    )
    if run.aside_for in gone:
        walk.note("aside_over")
        walk.change(status="waiting", reason=None, ended_at=None, aside_for=None)


def _choose(journey: Journey, told: Told, out: Collection[UUID], unheard: Collection[UUID]) -> None:
    """Let one run of each key go on; those in `out` stand aside already."""
    mode = journey.re_entry.mode
    if mode == "always":
        return
    groups: dict[str, Told] = {}
    for run, facts in told:
        ended = run.is_over and run.aside_for is None
        if run.id not in out and (mode == "never" or not ended):
            groups.setdefault(run.key, []).append((run, facts))
    for group in groups.values():
        (first, facts), *others = sorted(group, key=lambda one: _rank(one[0]))
        for run, own in others:
            own.append(SteppedAside(first.id, again=_effect(run) in unheard))
            done = Absorbed(run.id, run.touched)
            facts += [TookOver(one.run, one.nodes) for one in (done, *run.absorbed)]


def _effect(run: Run) -> UUID | None:
    """What the step does that the run stands at."""
    if run.node is None or run.held is not None:
        return None
    return effect_id(run.id, run.node, run.occurrence)


def _rank(run: Run) -> tuple[int, datetime, str]:
    return -len(run.touched), run.entered_at, str(run.id)
