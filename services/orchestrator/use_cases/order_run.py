"""What an operator orders about runs: one that they look at, or many at once."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.journeys.facts import (
    Fact,
    Moved,
    Paused,
    Person,
    Resumed,
    Skipped,
    Stopped,
)
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import journey_runs
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.journey_runs import Filter, Place
from services.orchestrator.use_cases.go_on import loaded
from services.orchestrator.use_cases.operate_run import operate_run
from shared.conditions.mistakes import did_you_mean, shown
from shared.contracts.topics import Topics
from shared.errors import Conflict, Infrastructure, NotFound, Problem, Unprocessable
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit, drafts
from shared.postgres.transaction import transaction

Verb = Literal["move", "skip", "stop", "pause", "resume", "retry"]
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with a run, from the step (`occurrence`) that was seen: None is whichever
    it is at. `node` is where it is moved to, `reason` why it is stopped."""

    verb: Verb
    occurrence: int | None = None
    node: str | None = None
    reason: str = STOPPED


@dataclass(frozen=True, slots=True)
class Means:
    """What an order is carried out with."""

    engine: AsyncEngine
    ruleset: Callable[[], RuleSet]
    topics: Topics
    counts: PartitionCounts


@dataclass(frozen=True, slots=True)
class Refused:
    """A run with which it was not done, and why."""

    run: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of an order about many: where the runs stood that are meant, how many were told,
    with which it was not done, and the last one of those that were looked at, when there are
    more."""

    meant: Mapping[Place, int]
    done: int
    refused: tuple[Refused, ...]
    last: UUID | None


async def order_run(means: Means, run_id: UUID, order: Order, *, who: audit.Who) -> Run:
    """The run after it.

    Raises NotFound, Conflict when the run is over or has gone on meanwhile, Unprocessable for a
    node that the run cannot come to, and Infrastructure while its version is not loaded here.
    """
    ruleset = means.ruleset()

    def fact_of(run: Run, person: Person) -> Fact:
        if order.occurrence not in (None, run.occurrence):
            raise Conflict(
                f"Run {run_id} is at step {run.occurrence} ({run.node or 'before the first one'}) "
                f"meanwhile, and not at {order.occurrence}: look again."
            )
        with loaded():
            live = ruleset.journeys.live(run.journey)
        return _fact(order, run, person, live.followed(run.version).journey)

    return await operate_run(
        means.engine,
        run_id,
        fact_of,
        action=order.verb,
        ruleset=ruleset,
        topics=means.topics,
        counts=means.counts,
        who=who,
    )


async def order_runs(
    means: Means,
    key: str,
    which: Filter,
    order: Order,
    *,
    after: UUID,
    limit: int,
    dry_run: bool,
    who: audit.Who,
) -> Carried:
    """Carry an order out with the next runs under way that are meant, at most `limit`, each as it
    stands; nothing with `dry_run`. Where the database goes away on the way, what was done before is
    what came of it, and the rest is left to the next call.

    Raises NotFound, Unprocessable for a node that none of them can come to, and Infrastructure when
    nothing was done."""
    async with transaction(means.engine) as tx:
        drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
        meant = await journey_runs.count_under_way(tx, key, which)
        found = await journey_runs.under_way(tx, key, which, after=after, limit=limit + 1)
    if dry_run:
        return Carried(meant, 0, (), None)
    refused: list[Refused] = []
    nowhere: list[Unprocessable] = []
    told: list[UUID] = []
    for run in found[:limit]:
        try:
            await order_run(means, run.id, replace(order, occurrence=run.occurrence), who=who)
        except (Conflict, NotFound) as error:
            refused.append(Refused(run.id, str(error)))
        except Unprocessable as error:  # not in its version; others are in another one
            refused.append(Refused(run.id, str(error)))
            nowhere.append(error)
        except Infrastructure:
            if not told:
                raise
            break
        told.append(run.id)
    if told and len(nowhere) == len(told):
        raise nowhere[0]
    done = len(told) - len(refused)
    async with transaction(means.engine) as tx:
        said = {"filter": _said(which), "node": order.node, "done": done, "refused": len(refused)}
        await audit.append(
            tx, who=who, kind=Kind.JOURNEY, key=key, action=f"runs:{order.verb}", after=said
        )
    last = told[-1] if len(found) > len(told) else None
    return Carried(Counter(meant), done, tuple(refused), last)


def _fact(order: Order, run: Run, person: Person, journey: Journey) -> Fact:
    match order.verb:
        case "move":
            return Moved(run.occurrence, _known(order.node or "", journey), person)
        case "retry":
            node = run.node or journey.first
            if journey.stands_for(node) is None:
                raise Conflict(f"Node {node} is not in version {journey.version}: move the run.")
            return Moved(run.occurrence, node, person)
        case "skip":
            if run.node is None:
                raise Conflict(f"Run {run.id} has not taken its first step: move it.")
            return Skipped(run.occurrence, person)
        case "stop":
            return Stopped(order.reason)
        case "pause":
            return Paused()
        case "resume":
            return Resumed(person)


def _known(node: str, journey: Journey) -> str:
    """The node, if a run can come to it. Raises Unprocessable."""
    if journey.stands_for(node) is not None:
        return node
    hint = did_you_mean(node, sorted(journey.nodes))
    message = f"there is no node {shown(node)} in version {journey.version}.{hint}"
    raise Unprocessable(
        "The run cannot be moved there.", [Problem("node", "unknown_node", message)]
    )


def _said(which: Filter) -> dict[str, object]:
    people = None if which.profile_ids is None else [str(one) for one in which.profile_ids]
    found = {
        "status": which.status,
        "node": which.node,
        "version": which.version,
        "profile_ids": people,
        "stuck": which.stuck or None,
    }
    return {name: value for name, value in found.items() if value is not None}
