"""Reads from the database what the decisions of a batch have to know, and nothing else."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet
from services.orchestrator.domain.update import Moment, cause_decoder
from services.orchestrator.storage import histories, resources
from services.orchestrator.storage.histories import Histories
from services.orchestrator.use_cases.naming import action_ids
from shared.postgres.transaction import Tx


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An update that concerns rules: the candidates it triggers, and the names of their actions."""

    moment: Moment
    candidates: Sequence[LiveRule]
    action_id: Callable[[str, int, int], UUID]


async def recall(
    tx: Tx,
    asked: Iterable[Asked],
    *,
    in_flight: Collection[str],
    merged: bool,
    ruleset: RuleSet,
    at: datetime,
    again: bool = True,
) -> Histories:
    """The histories of all persons that have something in flight or a candidate, locked before.

    `merged` says that persons became one in this batch: what ended a reason for one of them ends
    it for both. `again`: the same may have been answered before, so its actions may exist.
    """
    triggered = [one for one in asked if one.candidates]
    persons = {one.moment.profile_id for one in triggered}
    found: Histories = {profile_id: History() for profile_id in persons.union(in_flight)}
    if in_flight:
        await histories.read_in_flight(tx, found, in_flight)
        if merged:
            await recall_exits(tx, found, in_flight, ruleset)
    if not triggered:
        return found
    await recall_contacts(tx, found, persons, ruleset, at)
    households = {one.moment.profile.household for one in triggered} - {None}
    await recall_households(tx, found, households, ruleset, at)
    await recall_candidates(tx, found, triggered, again=again)
    rules = {live.key: live for one in triggered for live in one.candidates}
    await recall_resources(tx, found, rules.values(), ruleset, at)
    return found


async def recall_candidates(
    tx: Tx,
    found: Histories,
    triggered: Collection[Asked],
    *,
    again: bool = True,
) -> None:
    """What the rules at hand did before, and what ended their reasons. What all rules share,
    contacts and scarce resources, is read beside it."""
    persons = {one.moment.profile_id for one in triggered}
    rules = {live.key: live for one in triggered for live in one.candidates}
    await _recall_rules(tx, found, persons, rules.values())
    if not again:
        return
    names = {
        one.action_id(live.key, index, option): one.moment.profile_id
        for one in triggered
        for live in one.candidates
        for index, spec in enumerate(live.rule.actions)
        for option in range(1 + len(spec.fallback))
    }
    if names:
        for action_id in await histories.acted(tx, names):
            found[names[action_id]].acted.add(action_id)


async def recall_contacts(
    tx: Tx,
    found: Histories,
    persons: Collection[str],
    ruleset: RuleSet,
    at: datetime,
) -> None:
    """The contacts of the persons and what became of them, as far as the policies look back."""
    if ruleset.longest_window:
        await histories.read_contacts(tx, found, persons, at=at, window=ruleset.longest_window)
    if ruleset.joint.outcome_window:
        await histories.read_outcomes(
            tx, found, persons, at=at, window=ruleset.joint.outcome_window
        )


async def recall_households(
    tx: Tx,
    found: Histories,
    households: Collection[str | None],
    ruleset: RuleSet,
    at: datetime,
) -> None:
    """The contacts with everybody of the households, where a cap is about that."""
    known = [one for one in households if one is not None]
    if known and ruleset.household_window:
        window = ruleset.household_window
        await histories.read_household_contacts(tx, found, known, at=at, window=window)


async def recall_resources(
    tx: Tx,
    found: Histories,
    rules: Iterable[LiveRule],
    ruleset: RuleSet,
    at: datetime,
) -> None:
    """Take the turn of what the rules take of scarce resources, and read how much is left; once in
    a transaction, for all rules."""
    if not ruleset.resources:
        return
    keys = {key for live in rules for key in live.rule.costs if key in ruleset.resources}
    if keys:
        since = min(ruleset.resources[key].window(at)[0] for key in keys)
        await resources.recall(tx, found, keys, since=since)


async def recall_tried(
    tx: Tx, found: Histories, actions: Iterable[InFlight], ruleset: RuleSet
) -> None:
    """Which options of these actions, which may be followed by another one, exist already."""
    persons = {id_: person for person, history in found.items() for id_ in history.in_flight}
    names: dict[UUID, str] = {}
    for action in actions:
        live = ruleset.rules.get(action.rule)
        if live is None or not live.has_fallbacks:
            continue
        named = action_ids(cause_decoder.decode(action.cause).id or "")
        for index, spec in enumerate(live.rule.actions):
            for option in range(1 + len(spec.fallback)):
                names[named(live.key, index, option)] = persons[action.action_id]
    for action_id in await histories.acted(tx, names) if names else ():
        found[names[action_id]].acted.add(action_id)


async def recall_exits(
    tx: Tx, found: Histories, persons: Collection[str], ruleset: RuleSet
) -> None:
    """The touchpoints that met the exit criteria of what the persons have in flight."""
    keys = {action.rule for history in found.values() for action in history.in_flight.values()}
    live = (ruleset.rules[key] for key in keys if key in ruleset.rules)
    criteria = {event.criterion for one in live for event in one.exit_events}
    if criteria:
        await histories.read_exits(tx, found, persons, criteria)


async def _recall_rules(
    tx: Tx, found: Histories, persons: Collection[str], rules: Iterable[LiveRule]
) -> None:
    remembering = [live.key for live in rules if live.remembers_entries]
    if remembering:
        await histories.read_entries(tx, found, persons, remembering)
    criteria = {event.criterion for live in rules for event in live.exit_events}
    if criteria:
        await histories.read_exits(tx, found, persons, criteria)
