"""Gives what runs want its effects, until they want nothing more."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from services.orchestrator.domain.answer import answer_runs
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.journey_set import BehindError
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.naming import round_decision_id
from services.orchestrator.use_cases.report import Counting
from shared.errors import Infrastructure


@contextmanager
def loaded() -> Iterator[None]:
    """Raises Infrastructure where a run goes by a version that is not loaded yet: it will be, and
    then all of this is done again."""
    try:
        yield
    except BehindError as error:
        raise Infrastructure("configuration", f"not loaded yet: {error}") from error


def go_on(
    travel: Travel,
    situation: Situation,
    ruleset: RuleSet,
    effects: Effects,
    first: UUID,
    report: Counting,
) -> None:
    """Judge what the runs want, tell them, and judge what they want then. `first` is the id of the
    decision that this follows from; a run that has its turn twice at one instant follows from it
    twice. Raises Infrastructure, as `loaded` does."""
    while True:
        number = effects.rounds.get(first, 0) + 1
        answered = answer_runs(
            travel,
            situation,
            ruleset=ruleset,
            decision_id=round_decision_id(first, str(number)),
            effects=effects,
        )
        if answered is None:
            return
        effects.rounds[first] = number
        decision, considered = answered
        report.decided(None, decision.outcome, considered)
        with loaded():
            travel.answered(considered)
