"""What a node does when a run comes to it: act, wait, or say by which edge to go on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from services.orchestrator.domain.buckets import BUCKETS, bucket
from services.orchestrator.domain.journeys.facts import (
    Emitted,
    Exposed,
    Jumped,
    Queued,
    SaidTraits,
    Wanted,
)
from services.orchestrator.domain.journeys.instants import (
    end_of_business,
    end_of_date,
    end_of_lasting,
)
from services.orchestrator.domain.journeys.journey import (
    ELSE,
    MISSING,
    NEXT,
    PAST,
    Act,
    Awaiting,
    Branch,
    BusinessDays,
    Emit,
    Jump,
    Lasting,
    Leave,
    Node,
    OnDate,
    SetTraits,
    Spacing,
    Split,
    Wait,
)
from services.orchestrator.domain.journeys.walk import Walk
from services.orchestrator.domain.live_rule import Clause
from services.orchestrator.domain.run import effect_id

MAX_BASIS = 100
MAX_HOPS = 10
"""So many journeys may lead to one another; what goes on then is a circle."""


def arrive(walk: Walk, node: Node) -> str | None:
    """Do what the node does. The edge by which to go on at once; None: it stays, or it is over."""
    match node.does:
        case Act() as act:
            return _act(walk, node, act)
        case Lasting() | Awaiting() | OnDate() | BusinessDays() as wait:
            return _wait(walk, node, wait)
        case Branch():
            holds = walk.version.cases[node.id]
            met = (str(place) for place, one in enumerate(holds) if one(walk.known.facts))
            return next(met, ELSE)
        case Split() as split:
            return _split(walk, node, split)
        case Spacing(interval=interval, max_wait=most):
            walk.queued.append(Queued(node.id, walk.run.occurrence, interval, most))
            walk.rest(None)
            return None
        case SetTraits(traits):
            walk.traits.append(SaidTraits(_id(walk), traits))
            return NEXT
        case Emit(event, properties):
            _emit(walk, event, properties)
            return NEXT
        case Jump(journey):
            if walk.run.hops < MAX_HOPS:
                walk.jumped.append(Jumped(_id(walk), journey, walk.run.hops + 1))
            return NEXT
        case Leave(reason):
            walk.end(reason, completed=True)
            return None
        case _:
            assert_never(node.does)


def end_of_wait(walk: Walk, node: Node, wait: Wait) -> datetime | str:
    """When the wait on which the run stands ends as the person is now; or the edge by which it goes
    on, where there is nothing to wait for."""
    since, person = walk.run.since or walk.now, walk.known
    match wait:
        case Lasting():
            return end_of_lasting(wait, since, person.zone)
        case Awaiting(_, timeout):
            return since + timeout
        case BusinessDays():
            calendar = walk.version.journey.calendars[wait.calendar]
            ends = end_of_business(wait, calendar, since, person.zone)
            return NEXT if ends <= since else ends
        case OnDate():
            value = walk.version.dates[node.id](person.facts)
            found = end_of_date(wait, value, since, person.zone)
            if found is None:
                return MISSING
            return PAST if found <= since else found
        case _:
            assert_never(wait)


def basis_of(walk: Walk, node: Node, wait: Wait) -> str:
    """What the end of a wait depends on that may change while it lasts: zone and date."""
    zone = walk.known.zone.key
    match wait:
        case OnDate():
            return f"{zone} {walk.version.dates[node.id](walk.known.facts)}"[:MAX_BASIS]
        case Lasting(_, None) | Awaiting():
            return ""
        case _:
            return zone


def pass_on(walk: Walk, node: Node, label: str, reason: str) -> str | None:
    """An edge that only leads somewhere where its author said so; else the run ends."""
    if label in node.leads:
        return label
    walk.end(reason)
    return None


def _act(walk: Walk, node: Node, act: Act) -> str | None:
    run = walk.run
    if node.id in run.spared:
        rest = (replace(one, nodes=one.nodes - {node.id}) for one in run.absorbed)
        walk.change(absorbed=tuple(rest))
        walk.note("spared")
        return pass_on(walk, node, NEXT, "done_before_merge")
    walk.wanted.append(Wanted(_id(walk), node.id, run.occurrence, act.spec))
    walk.change(due=walk.now + act.patience)
    return None


def _wait(walk: Walk, node: Node, wait: Wait) -> str | None:
    if isinstance(wait, Awaiting):
        met = walk.version.awaited[node.id]
        if isinstance(met, Clause) and met.holds(walk.known.facts):
            return NEXT
    ends = end_of_wait(walk, node, wait)
    if isinstance(ends, datetime):
        walk.rest(ends, basis_of(walk, node, wait))
        return None
    return ends if ends == NEXT else pass_on(walk, node, ends, REASONS[ends])


def _split(walk: Walk, node: Node, split: Split) -> str:
    won = walk.live.winners.get(node.id) or split.winner
    if won in node.leads and won is not None:
        return won
    place, upto = bucket(split.salt, split.layer, walk.run.unit), 0
    for arm in split.arms:
        upto += round(arm.percent * BUCKETS / 100)
        if place < upto:
            break
    if split.exposes:
        walk.exposed.append(Exposed(node.id, arm.key, split.layer, split.salt, place))
    return arm.key


def _emit(walk: Walk, event: str, properties: Mapping[str, Any]) -> None:
    hops = walk.run.hops + 1
    if hops <= MAX_HOPS:
        walk.emitted.append(Emitted(_id(walk), event, properties, hops))


def _id(walk: Walk) -> UUID:
    assert walk.run.node is not None  # noqa: S101 - it has just come there
    return effect_id(walk.run.id, walk.run.node, walk.run.occurrence)


REASONS: Mapping[str, str] = {MISSING: "no_date", PAST: "date_passed"}
"""Why a run ends that waits for a date of which nothing is known, or that is over."""
