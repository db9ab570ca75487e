"""Tells the runs of people what a merge or a split of their profiles means for them."""

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.merge import Told, divide, unite
from services.orchestrator.domain.rule import TASK
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import runs
from services.orchestrator.storage.histories import Histories
from services.orchestrator.use_cases.go_on import loaded
from shared.postgres.transaction import Tx

Tell = Callable[[str, Callable[[Travel], None]], None]
"""Lets the runs of a person hear something, and gives what follows its effects."""


async def link_runs(
    tx: Tx,
    histories: Histories,
    sides: Collection[str],
    joined: Collection[str],
    seqs: Mapping[str, int],
    ruleset: RuleSet,
    tell: Tell,
) -> None:
    """The rows of the runs have been moved already. `sides` stand now for whoever was parted,
    `joined` for whoever was merged; somebody may be both. `seqs` has the number of the last update
    that was answered of each profile."""
    late = {
        profile_id
        for profile_id, history in histories.items()
        if any(one.run.profile_id != profile_id for one in history.runs.values())
    }
    united = {*joined, *late} - {*sides}
    await _recall(tx, histories, {*sides, *united})
    tell_linked(histories, united, sides, seqs, ruleset, tell)


def tell_linked(
    histories: Histories,
    joined: Collection[str],
    sides: Collection[str],
    seqs: Mapping[str, int],
    ruleset: RuleSet,
    tell: Tell,
) -> None:
    """Tell whoever may have runs of several profiles now, and whoever was parted; all their runs in
    the journeys that they are in are in the `histories`. Who was parted, and is one with somebody
    else by now, is told both in one."""
    for profile_id in sorted(_under_way(histories, joined)):
        tell(profile_id, _uniting(histories[profile_id], profile_id, seqs, ruleset))
    for profile_id in sorted(_under_way(histories, sides)):
        tell(profile_id, _dividing(histories[profile_id], profile_id, ruleset))


def _under_way(histories: Histories, persons: Collection[str]) -> set[str]:
    return {one for one in persons if one in histories and histories[one].runs}


async def _recall(tx: Tx, histories: Histories, persons: set[str]) -> None:
    """Of the journeys that they are in also the runs that are over: they may count."""
    known = persons & histories.keys()
    journeys = {one.run.journey for person in known for one in histories[person].runs.values()}
    if journeys:
        await runs.read_past(tx, histories, known, journeys)


def _uniting(
    history: History, winner: str, seqs: Mapping[str, int], ruleset: RuleSet
) -> Callable[[Travel], None]:
    def tell(travel: Travel) -> None:
        for key, own in sorted(_by_journey(history).items()):
            with loaded():
                journey, seq = _journey(key, ruleset), seqs.get(winner, 0)
                told = unite(journey, own, winner, seq, _unheard(history))
            _tell(travel, told)

    return tell


def _dividing(history: History, profile_id: str, ruleset: RuleSet) -> Callable[[Travel], None]:
    own = _by_journey(history)

    def tell(travel: Travel) -> None:
        for key, several in sorted(own.items()):
            # One that stood aside until its own end does not come back.
            mine = [one for one in several if one.aside_for is None or travel.has(one.id)]
            homes = {run.home for run in mine}
            with loaded():
                journey = _journey(key, ruleset)
            for run in (run for run in mine if travel.has(run.id)):
                person, unheard = travel.person(run.id), _unheard(history)
                told = divide(journey, mine, homes, profile_id, person, unheard)
                _tell(travel, [(one, facts) for one, facts in told if one.id == run.id])

    return tell


def _tell(travel: Travel, told: Told) -> None:
    for run, facts in told:
        for fact in facts:
            with loaded():
                travel.tell(run.id, fact)


def _unheard(history: History) -> set[UUID]:
    """The effects of steps that nobody will have heard of, if they are taken back now: tasks, and
    what no channel has."""
    return {
        one.instead_of or one.action_id
        for one in history.in_flight.values()
        if one.step is not None and (one.kind == TASK or not one.published)
    }


def _by_journey(history: History) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in [*history.past_runs, *(one.run for one in history.runs.values())]:
        found.setdefault(run.journey, []).append(run)
    return found


def _journey(key: str, ruleset: RuleSet) -> Journey:
    """How the journey treats several runs: by the version that people enter, or the newest."""
    live = ruleset.journeys.live(key)
    version = live.current or live.versions[max(live.versions)]
    return version.journey
