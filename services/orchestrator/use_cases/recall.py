"""Reads from the database what the decisions of a batch have to know, and nothing else."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.action_ids import ids_of_action
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, cause_decoder
from services.orchestrator.storage import histories, resources, runs
from services.orchestrator.storage.histories import Histories
from services.orchestrator.use_cases.naming import action_ids
from shared.postgres.transaction import Tx


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """An update that concerns rules: the candidates it triggers, and the names of their actions."""

    moment: Moment
    candidates: Sequence[LiveRule]
    action_id: Callable[[str, int, int], UUID]
    entering: Sequence[LiveJourney] = ()
    """The journeys that it may let the person into."""


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
    asked = list(asked)
    triggered = [one for one in asked if one.candidates]
    persons = {one.moment.profile_id for one in asked if one.candidates or one.entering}
    found: Histories = {profile_id: History() for profile_id in persons.union(in_flight)}
    if in_flight:
        await histories.read_in_flight(tx, found, in_flight)
        if merged:
            await recall_exits(tx, found, in_flight, ruleset)
    on_the_way = {profile_id for profile_id, history in found.items() if history.runs}
    persons |= on_the_way
    if not persons:
        return found
    await recall_contacts(tx, found, persons, ruleset, at)
    about = [one for one in asked if one.moment.profile_id in persons]
    households = {one.moment.profile.household for one in about} - {None}
    await recall_households(tx, found, households, ruleset, at)
    if triggered:
        await recall_candidates(tx, found, triggered, again=again)
    rules = {live.key: live for one in triggered for live in one.candidates}
    entering = {live.key for one in asked for live in one.entering}
    if entering or on_the_way:
        rules |= await recall_journeys(tx, found, about, entering, ruleset)
    await recall_resources(tx, found, rules.values(), ruleset, at)
    return found


async def recall_journeys(
    tx: Tx,
    found: Histories,
    asked: Collection[Asked],
    entering: Collection[str],
    ruleset: RuleSet,
) -> dict[str, LiveRule]:
    """What decides whether the persons may enter these journeys and those that they lead to, from
    there and from those that they are in; the rules of all nodes at hand."""
    journeys = ruleset.journeys
    standing = {one.run.journey for history in found.values() for one in history.runs.values()}
    may_enter = journeys.reachable(entering, standing)
    if may_enter:
        persons = [one for one in found if found[one].runs] + [
            one.moment.profile_id for one in asked if one.entering
        ]
        await runs.read_past(tx, found, set(persons), may_enter)
    marks = {
        mark
        for one in asked
        for live in one.entering
        for mark in journeys.marks(live, one.moment.facts)
    }
    if marks:
        await histories.read_exits(tx, found, {one.moment.profile_id for one in asked}, marks)
    return journeys.rules_of(standing | may_enter)


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
        live = ruleset.acting.get(action.rule)
        if live is None or not live.has_fallbacks:
            continue
        touchpoint = cause_decoder.decode(action.cause).id or ""
        named = ids_of_action(action, action_ids, touchpoint)
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
    live = (ruleset.acting[key] for key in keys if key in ruleset.acting)
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
