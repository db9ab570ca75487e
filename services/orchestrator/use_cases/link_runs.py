"""Tells the runs of people what a merge or a split of their profiles means for them."""

from collections.abc import Callable, Iterable, Mapping

from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.merge import Told, divide, unite
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import runs
from services.orchestrator.storage.histories import Histories
from services.orchestrator.use_cases.absorb_profile import Parting
from services.orchestrator.use_cases.go_on import loaded
from shared.postgres.transaction import Tx

Tell = Callable[[str, Callable[[Travel], None]], None]
"""Lets the runs of a person hear something, and gives what follows its effects."""


async def link_runs(
    tx: Tx,
    histories: Histories,
    parted: Iterable[Parting],
    seqs: Mapping[str, int],
    ruleset: RuleSet,
    tell: Tell,
) -> None:
    """The rows of the runs have been moved already: a run that names another profile than the one
    it stands with has not heard of it. `seqs` has the number of the last update that was answered
    of each profile."""
    sides = {profile_id for pair in parted for profile_id in pair}
    joined = [
        profile_id
        for profile_id, history in histories.items()
        if profile_id not in sides
        and any(one.run.profile_id != profile_id for one in history.runs.values())
    ]
    await _recall(tx, histories, {*sides, *joined})
    tell_linked(histories, joined, parted, seqs, ruleset, tell)


def tell_linked(
    histories: Histories,
    joined: Iterable[str],
    parted: Iterable[Parting],
    seqs: Mapping[str, int],
    ruleset: RuleSet,
    tell: Tell,
) -> None:
    """Tell whoever has runs of several profiles now, and both sides of whoever was parted; all
    their runs in the journeys that they are in are in the `histories`."""
    for profile_id in sorted(joined):
        tell(profile_id, _uniting(histories[profile_id], profile_id, seqs, ruleset))
    for back, root in parted:
        for profile_id in (back, root):
            if not histories.get(profile_id, History()).runs:
                continue
            tell(profile_id, _dividing(histories[profile_id], profile_id, ruleset))


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
                told = unite(_journey(key, ruleset), own, winner, seqs.get(winner, 0))
            _tell(travel, told)

    return tell


def _dividing(history: History, profile_id: str, ruleset: RuleSet) -> Callable[[Travel], None]:
    own = _by_journey(history)

    def tell(travel: Travel) -> None:
        for key, mine in sorted(own.items()):
            homes = {run.home for run in mine}
            with loaded():
                journey = _journey(key, ruleset)
            for run in (run for run in mine if travel.has(run.id)):
                told = divide(journey, mine, homes, profile_id, travel.person(run.id))
                _tell(travel, [(one, facts) for one, facts in told if one.id == run.id])

    return tell


def _tell(travel: Travel, told: Told) -> None:
    for run, facts in told:
        for fact in facts:
            with loaded():
                travel.tell(run.id, fact)


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
