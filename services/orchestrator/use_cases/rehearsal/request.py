"""Ask for a rehearsal of a draft, or let one be over."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.counted_leaves import leaves_counted
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.journeys.document import conditions_of
from services.orchestrator.domain.rule_leaves import leaves_in, leaves_of_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import configuration, simulations
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.simulations import Asked, Simulation
from services.orchestrator.use_cases.check_configuration import (
    check_draft,
    check_references,
    parsed_journey,
    parsed_rule,
)
from services.orchestrator.use_cases.rehearsal.inputs import inputs_of, pack, rulesets
from services.orchestrator.use_cases.rehearsal.rehearsal import warm_up
from services.orchestrator.use_cases.rehearsal.unfilled import unfilled
from services.orchestrator.use_cases.unseen import (
    TraitClasses,
    attributes_of_draft,
    is_unseen,
    refuse_unseen,
)
from shared import clock, ids
from shared.conditions.sentence import sentence
from shared.contracts.times import rfc3339
from shared.errors import Conflict, NotFound, Problem, Unprocessable
from shared.postgres import audit, drafts
from shared.postgres.drafts import Body
from shared.postgres.transaction import transaction

KIND = "simulation"
MAX_WAITING = 20


class Kept(Protocol):
    """Finds the first instant from which on all recorded updates are kept. Raises
    Infrastructure."""

    async def __call__(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """What a request needs beside the database."""

    kept_since: Kept
    estimates: Callable[[], Estimates]


async def request_rehearsal(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    starts: datetime,
    ends: datetime,
    rehearsing: Rehearsing,
    definitions: TraitClasses,
    sees: bool,
    who: audit.Who,
) -> Simulation:
    """The simulation, queued: the draft against what is in force, over the updates of a period.
    `definitions` knows what is hidden from whom; `sees`: nothing is from who asks.

    Raises NotFound without a draft; Unprocessable when it could not be published, asks for what is
    hidden, or for a period that is none or no longer kept; Conflict when very many wait;
    Infrastructure.
    """
    now = clock.now()
    ends = min(ends, now)
    kept = await _period(starts, ends, rehearsing.kept_since)
    async with transaction(engine) as tx:
        draft = drafts.there(await drafts.find(tx, kind, key), kind.words, key)
        check_draft(kind, key, draft.body)
        await check_references(tx, kind, key, draft.body)
    attributes = attributes_of_draft(kind, key, draft.body)
    if not sees:
        await refuse_unseen(attributes, definitions)
    async with transaction(engine) as tx:
        live = await configuration.load(tx)
    inputs = inputs_of(kind, key, draft.body, live, rehearsing.estimates(), now)
    inputs = inputs if sees else unfilled(inputs)
    # In a thread: with very many rules it takes seconds, and others are served meanwhile.
    sides = await asyncio.to_thread(rulesets, inputs)
    asked = Asked(
        id=ids.time_ordered_id(),
        kind=kind.value,
        key=key,
        from_at=starts,
        to_at=ends,
        warm_at=max(starts - warm_up(*sides), min(kept, starts)),
        inputs=await asyncio.to_thread(pack, inputs),
        warnings=orjson.dumps(list(_warnings(kind, key, draft.body, sides[0]))).decode(),
        personal=sees and await is_unseen(attributes, definitions),
    )
    async with transaction(engine) as tx:
        if await simulations.waiting(tx) >= MAX_WAITING:
            raise Conflict(f"{MAX_WAITING} simulations wait already: cancel one, or wait.")
        made = await simulations.insert(tx, asked, who=who.id, who_name=who.name)
        after = {"kind": kind.value, "key": key, "draft_version": draft.draft_version,
                 "from": rfc3339(starts), "to": rfc3339(ends)}  # fmt: skip
        await audit.append(tx, who=who, kind=KIND, key=str(made.id), action="request", after=after)
    return made


async def cancel_rehearsal(engine: AsyncEngine, id_: UUID, *, who: audit.Who) -> Simulation:
    """The simulation, which is over now; whoever works at it stops within two seconds. Raises
    NotFound, and Conflict when it was over before."""
    async with transaction(engine) as tx:
        gone = await simulations.cancel(tx, id_)
        if gone is None:
            known = await simulations.find(tx, id_)
            if known is None:
                raise NotFound(f"There is no simulation {id_}.")
            raise Conflict(f"The simulation is {known.status} already.")
        await audit.append(tx, who=who, kind=KIND, key=str(id_), action="cancel")
    return gone


async def _period(starts: datetime, ends: datetime, kept_since: Kept) -> datetime:
    if starts >= ends:
        later = "has to be before `to`, and before now"
        raise Unprocessable("The period is none.", [Problem("from", "period", later)])
    kept = await kept_since()
    if starts < kept:
        # In whole milliseconds, so that what is said here may be asked for.
        earliest = rfc3339(kept)
        words = f"what happened before {earliest} is not kept any more: the earliest is {earliest}"
        raise Unprocessable(
            f"Updates are kept from {earliest} on.", [Problem("from", "not_kept", words)]
        )
    return kept


def _warnings(kind: Kind, key: str, body: Body, live: RuleSet) -> Iterable[dict[str, str]]:
    """Past touchpoints that the draft counts, and nothing in force does: what was recorded may not
    say how many there were."""
    match kind:
        case Kind.RULE:
            wanted = leaves_of_rule(parsed_rule(key, body))
        case Kind.JOURNEY:
            conditions = conditions_of(parsed_journey(key, body))
            wanted = leaves_in(condition for _, condition in conditions)
        case Kind.CONTACT_POLICY | Kind.EXPERIMENT:
            wanted = {}
    counted = leaves_counted(live) if wanted else frozenset()
    for name in sorted(wanted.keys() - counted):
        words = sentence(wanted[name])
        yield {
            "rule": "not_counted",
            "message": f"nothing in force counts `{words}`: where the recorded updates do not say "
            "it, the condition counts as not met",
        }
