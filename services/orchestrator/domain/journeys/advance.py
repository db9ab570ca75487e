"""One step of a journey: a run and a fact go in, the run after it and what follows come out.

Pure and total. In one step, the goal is looked at first, then what ends the run, then the rest: so
nobody hears anything for a reason that has just ended. What happened is told apart by the numbers
of a profile's updates, timers by the run's generation, operators by the step they saw: the same
fact twice changes nothing. Time is only ever `now`.
"""

from datetime import datetime
from typing import Literal, assert_never

from services.orchestrator.domain.holdout import exposure
from services.orchestrator.domain.journeys.answers import answer, place
from services.orchestrator.domain.journeys.arrive import REASONS, basis_of, end_of_wait
from services.orchestrator.domain.journeys.facts import (
    Advance,
    Answered,
    Due,
    Edited,
    Entered,
    Exposed,
    Fact,
    Happened,
    Merged,
    Moved,
    Parted,
    Paused,
    Placed,
    Reached,
    Released,
    Resumed,
    Skipped,
    SteppedAside,
    Stopped,
    TakenBack,
    TookOver,
)
from services.orchestrator.domain.journeys.journey import (
    NEXT,
    TIMEOUT,
    Act,
    Awaiting,
    BusinessDays,
    Lasting,
    OnDate,
)
from services.orchestrator.domain.journeys.live import LiveJourney, Watched
from services.orchestrator.domain.journeys.merge import part, step_aside, take_over
from services.orchestrator.domain.journeys.steps import go, leave, put_on, settle
from services.orchestrator.domain.journeys.walk import Walk
from services.orchestrator.domain.live_rule import Clause
from services.orchestrator.domain.run import HELD_OUT, Held, Run, effect_id

LAYER = "journey"
"""The layer of the holdouts of journeys."""
MAX_DURATION = "max_duration"
GOAL = "goal"
STALE = "stale"
MAX_WORDS = 300


def advance(journey: LiveJourney, run: Run, fact: Fact, now: datetime) -> Advance:
    """The run after the fact, and what follows; `run` is not changed. Raises nothing."""
    walk = Walk(journey, run, now, getattr(fact, "person", None))
    match fact:
        case Entered():
            _entered(walk)
        case Happened():
            _happened(walk, fact)
        case Due(gen):
            _due(walk, gen)
        case Answered(action_id, said):
            if _goes_on(walk):
                answer(walk, action_id, said)
        case Placed(occurrence, at):
            if _goes_on(walk):
                place(walk, occurrence, at)
        case Moved() | Skipped() | Stopped() | Paused() | Resumed():
            _operated(walk, fact)
        case Released():
            _resume(walk)
        case Edited():
            _goes_on(walk)
        case Merged(profile_id, seq):
            _merged(walk, profile_id, seq)
        case SteppedAside(aside_for, again):
            step_aside(walk, aside_for, again=again)
        case TookOver(taken, nodes):
            take_over(walk, taken, nodes)
        case Parted(profile_id, gone):
            part(walk, profile_id, gone)
            _goes_on(walk)
        case _:
            assert_never(fact)
    return walk.result(run)


def _entered(walk: Walk) -> None:
    """The first step; only once. Who is held out takes none, and is watched for the goal."""
    if walk.run.occurrence or walk.run.is_over or walk.run.held is not None:
        return
    journey = walk.version.journey
    walk.note("entered")
    if journey.holdout is not None:
        side = exposure(journey.holdout, LAYER, walk.run.unit)
        arm = HELD_OUT if side.held_out else "treated"
        walk.exposed.append(Exposed(None, arm, LAYER, side.holdout.salt, side.bucket))
        if side.held_out:
            walk.end(HELD_OUT)
            return
    if not _has_ended(walk):
        _start(walk)


def _start(walk: Walk) -> None:
    if walk.is_paused:
        walk.hold(Held("start"))
    else:
        go(walk, walk.version.journey.first)


def _happened(walk: Walk, fact: Happened) -> None:
    if fact.seq <= walk.run.seqs.get(fact.of, 0):
        return
    walk.change(seqs={**walk.run.seqs, fact.of: fact.seq})
    if not walk.run.is_over:
        settle(walk)
    if not fact.historical:
        _look_for_goal(walk, fact)
        _look_for_exit(walk, fact)
    if _goes_on(walk) and walk.run.held is None:
        _look_for_end(walk, fact)


def _due(walk: Walk, gen: int) -> None:
    """The one timer of the run went off: too early, for its end, or for what it waits for."""
    run = walk.run
    if run.is_over or gen != run.gen:
        return
    walk.timer_gone = True
    if run.wakes_at is not None and walk.now < run.wakes_at:
        return
    if not _goes_on(walk):
        return
    if walk.now >= run.ends_at:
        walk.end(MAX_DURATION, takes_back=True)
        return
    stands = walk.run.held is None and not _is_moved(walk)
    if stands and walk.run.due is not None and walk.now >= walk.run.due:
        leave(walk, _edge_in_time(walk))


def _edge_in_time(walk: Walk) -> str:
    """The edge by which the run goes on because the time is over."""
    node = walk.node
    match None if node is None else node.does:
        case Act():
            return TIMEOUT
        case Awaiting():
            met = walk.version.awaited[node.id] if node is not None else None
            holds = isinstance(met, Clause) and met.holds(walk.known.facts)
            return NEXT if holds else TIMEOUT
        case _:
            return NEXT


def _look_for_end(walk: Walk, fact: Happened) -> None:
    """Whether it is what the run waits for."""
    node = walk.node
    if node is None or walk.run.status != "waiting":
        return
    if isinstance(node.does, Awaiting):
        met = walk.version.awaited[node.id]
        if isinstance(met, Watched):
            found = not fact.historical and met.is_met(fact.event, walk.run.key)
        else:
            found = met.holds(fact.person.facts)
        if found:
            leave(walk, NEXT)
    else:
        _is_moved(walk)


def _is_moved(walk: Walk) -> bool:
    """Wait for another instant, or go on, when what the wait depends on became another: the date
    was put off, the person moved to another zone."""
    node = walk.node
    if node is None or not isinstance(node.does, Lasting | OnDate | BusinessDays):
        return False
    if basis_of(walk, node, node.does) == walk.run.basis:
        return False
    ends = end_of_wait(walk, node, node.does)
    if isinstance(ends, datetime) and ends > walk.now:
        walk.rest(ends, basis_of(walk, node, node.does))
    elif isinstance(ends, datetime) or ends == NEXT:
        leave(walk, NEXT)
    elif ends in node.leads:
        leave(walk, ends)
    else:
        walk.end(REASONS[ends])
    return True


def _look_for_goal(walk: Walk, fact: Happened) -> None:
    """The goal counts once, within its time; when the run is over, it is only counted."""
    run, wanted, goal = walk.run, walk.version.journey.goal, walk.version.goal
    if wanted is None or goal is None or run.goal_at is not None or run.aside_for is not None:
        return
    in_time = run.goal_until is not None and walk.now < run.goal_until
    if not in_time or not goal.is_met(fact.event, run.key):
        return
    touch = run.first_touch if wanted.attribution == "first_touch" else run.last_touch
    node = None if touch is None else touch.node
    walk.change(goal_at=walk.now, goal_happened_at=min(fact.occurred_at or walk.now, walk.now))
    walk.reached.append(Reached(node, walk.now))
    walk.note("goal", node or "")
    if wanted.exits:
        walk.end(GOAL, completed=True, takes_back=True)


def _look_for_exit(walk: Walk, fact: Happened) -> None:
    """A later touchpoint that ends the run, also one that stepped aside for another."""
    for one in walk.version.exits:
        if isinstance(one, Watched) and one.is_met(fact.event, walk.run.key):
            where = f" on {fact.event.event_channel}" if fact.event.event_channel else ""
            walk.end(f"exit: {one.event}{where}", takes_back=True)
            return


def _has_ended(walk: Walk) -> bool:
    """Whether a condition that ends the run holds for the person now."""
    for one in walk.version.exits:
        if isinstance(one, Clause) and one.holds(walk.known.facts):
            walk.end(f"exit: {one.words}"[:MAX_WORDS], takes_back=True)
            break
    return walk.run.is_over


def _goes_on(walk: Walk) -> bool:
    """Whether the run is still under way, by the version it follows and as the person is now."""
    if walk.run.is_over:
        return False
    settle(walk)
    return not walk.run.is_over and not _has_ended(walk)


def _operated(walk: Walk, fact: Moved | Skipped | Stopped | Paused | Resumed) -> None:
    run = walk.run
    if isinstance(fact, Stopped):
        walk.end(fact.reason, takes_back=True)
        return
    if run.is_over:
        if isinstance(fact, Resumed) and run.aside_for is not None:
            walk.change(paused=False)  # its turn came while it stood aside
        return
    match fact:
        case Paused():
            if not run.paused:
                walk.change(paused=True)
                walk.note("paused")
        case Resumed():
            if run.paused:
                walk.change(paused=False)
                walk.note("resumed")
            _resume(walk)
        case Moved(occurrence, node):
            known = walk.live.followed(run.version).journey.stands_for(node) is not None
            if occurrence == run.occurrence and known and _goes_on(walk):
                _let_go(walk, "moved")
                put_on(walk, node)
        case Skipped(occurrence):
            if occurrence == run.occurrence and run.node is not None and _goes_on(walk):
                _let_go(walk, "skipped")
                leave(walk, NEXT)


def _let_go(walk: Walk, word: Literal["moved", "skipped"]) -> None:
    """Give up what the run waits for; an action that it asked for there is taken back."""
    node, run = walk.node, walk.run
    if node is not None and isinstance(node.does, Act) and run.held is None:
        action_id = effect_id(run.id, node.id, run.occurrence)
        walk.taken_back.append(TakenBack(run.id, word, action_id))
    walk.change(held=None)
    walk.note(word)


def _resume(walk: Walk) -> None:
    """Take the step that was held, if there is no pause any more. Whoever entered during it, and
    waited for the first step too long, leaves without one; of a crowd that is let in at a rate,
    nobody does."""
    held = walk.run.held
    if held is None or walk.is_paused or not _goes_on(walk):
        return
    walk.change(held=None)
    if held.by == "edge":
        leave(walk, held.name)
    elif held.by == "node":
        put_on(walk, held.name)
    elif _is_stale(walk):
        walk.end(STALE)
    else:
        _start(walk)


def _is_stale(walk: Walk) -> bool:
    journey = walk.version.journey
    return journey.rate is None and walk.now - walk.run.entered_at > journey.entry.max_age


def _merged(walk: Walk, profile_id: str, seq: int) -> None:
    """Another profile stands for the person; its updates count from now on."""
    run = walk.run
    if run.profile_id == profile_id:
        return
    known = max(seq, run.seqs.get(profile_id, 0))
    walk.change(profile_id=profile_id, seqs={**run.seqs, profile_id: known})
    walk.timer_gone = True
    walk.note("merged", profile_id)
