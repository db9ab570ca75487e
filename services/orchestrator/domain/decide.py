"""One arbitration: the rules that touchpoints trigger go in, what is done and why not the rest out.

Pure: the same situations and configuration give the same verdict, in whatever order the candidates
come. The gates stand in `gates.py`; a rule falls when all of its actions do, and an action when all
of its options do. The rules left are ranked; the best of them act, as many as the contact policy or
the rule itself allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from services.orchestrator.domain.asking import Asking, choice_for
from services.orchestrator.domain.capacity import lacking, uses_of
from services.orchestrator.domain.contact_gates import (
    assigned,
    exposures,
    held_out,
    other_arm,
)
from services.orchestrator.domain.experiments.in_force import Assigned
from services.orchestrator.domain.gates import (
    Drop,
    Situation,
    engagement,
    entry_key,
    re_entry,
    stale,
)
from services.orchestrator.domain.history import Contact, Used
from services.orchestrator.domain.holdout import Exposure
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.options import Choice
from services.orchestrator.domain.planned import Planned, persona_of
from services.orchestrator.domain.score import Rank, rank, score
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.unproved import unproved_rule
from shared.contracts.decision import CandidateScore, ResourceCost


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """The candidates of one touchpoint, in its situation."""

    candidates: Sequence[LiveRule]
    situation: Situation


@dataclass(slots=True, eq=False)
class Considered:
    """One candidate rule: `drop` says where it stopped, `planned` what it does if it won."""

    live: LiveRule
    situation: Situation
    choices: list[Choice] = field(default_factory=list)
    drop: Drop | None = None
    score: CandidateScore | None = None
    planned: list[Planned] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)
    """On which side of each holdout the person is; empty where the gate was not reached."""
    asking: Asking | None = None
    assigned: Assigned | None = None
    """The arm in the experiment of the rule; None where that was not asked."""


def decide(
    candidates: Sequence[LiveRule], situation: Situation, ruleset: RuleSet
) -> list[Considered]:
    """Every candidate of a touchpoint with its fate, the best first, then those that fell."""
    return judge([Question(candidates, situation)], ruleset)


def judge(questions: Sequence[Question], ruleset: RuleSet) -> list[Considered]:
    """Every candidate of several touchpoints of one person, judged together. The situations have
    one history and one instant."""
    considered = [
        _consider(live, question.situation, ruleset)
        for question in questions
        for live in question.candidates
    ]
    _arbitrate(considered, ruleset)
    return sorted(considered, key=lambda one: _reading_order(one, ruleset.joint.tie))


def _consider(live: LiveRule, situation: Situation, ruleset: RuleSet) -> Considered:
    one = Considered(live, situation)
    asking = one.asking = Asking(live, situation, ruleset)
    one.drop = (
        stale(live, situation)
        or re_entry(live, situation)
        or unproved_rule(ruleset, live.rule, situation.moment)
    )
    if one.drop is None:
        one.choices = [
            choice_for(index, spec, situation, ruleset)
            for index, spec in enumerate(live.rule.actions)
        ]
        one.drop = asking.walk(one.choices, asking.reach)
    if one.drop is None:
        one.drop = engagement(live, situation.moment, situation.history)
    if one.drop is None:
        one.exposures = exposures(ruleset, live.rule, situation.moment.profile_id)
        one.drop = held_out(one.exposures)
    if one.drop is None and live.rule.experiment is not None:
        one.assigned = assigned(ruleset, live.rule, situation.moment)
        one.drop = other_arm(live.rule, one.assigned)
    if one.drop is None:
        one.drop = asking.walk(one.choices, asking.contact)
    if one.drop is None:
        first = next(choice for choice in one.choices if choice.taken is not None)
        at = asking.instant(first)
        one.drop = lacking(ruleset.resources, live.rule.costs, situation.history.used, at)
        one.score = _score(one, first.spec.channel, ruleset)
    if one.drop is None and live.rule.category == "marketing":
        one.drop = _floor(one, ruleset)
    return one


def plan_option(one: Considered, ruleset: RuleSet, tried: frozenset[int], reason: str) -> bool:
    """Plan for a candidate of one choice another option than those that were tried."""
    (choice,) = one.choices
    asking = Asking(one.live, one.situation, ruleset)
    if not choice.walk(lambda option: asking.plan(choice, option), tried=tried, reason=reason):
        return False
    one.planned = asking.made
    return True


def _score(one: Considered, channel: str, ruleset: RuleSet) -> CandidateScore:
    rule, facts = one.live.rule, one.situation.moment.facts
    worth, estimates = rule.worth, ruleset.estimates
    persona = persona_of(one.situation.moment)
    return score(
        propensity=estimates.propensity(rule.key, channel, persona, worth.propensity),
        value=worth.value,
        context_weights=[weight for holds, weight in one.live.contexts if holds(facts)],
        lever=worth.lever,
        costs=rule.costs,
        prices=estimates.prices,
        customer=rule.customer,
        customer_weight=ruleset.customer_weight,
        formula=ruleset.joint.formula,
    )


def _floor(one: Considered, ruleset: RuleSet) -> Drop | None:
    """Nothing is done that harms the customer, or that is worth no more than doing nothing."""
    assert one.score is not None  # noqa: S101 - asked with one only
    given = one.score
    if given.customer is not None and given.customer < 0.0:
        gains = "the customer loses nothing by it"
        return Drop("floor", "customer_floor", gains, 0.0, given.customer)
    if given.total > 0.0:
        return None
    gain = given.p * given.c * given.v * given.l
    if given.customer is None and gain > 0.0:
        takes = " and ".join(_worth(cost, ruleset) for cost in given.costs if cost.price)
        words = f"{takes}, and its gain is {gain:.2f}"
        return Drop("floor", "below_price", words, given.cost, gain)
    return Drop("floor", "below_floor", "the score beats doing nothing", 0.0, given.total)


def _worth(cost: ResourceCost, ruleset: RuleSet) -> str:
    unit = ruleset.resources[cost.resource].unit
    taken = "" if cost.amount == 1.0 else f" and it takes {cost.amount:g}"
    return f"one {unit} is worth {cost.price:.2f} now{taken}"


def _arbitrate(considered: list[Considered], ruleset: RuleSet) -> None:
    """Let the best act, after those that never lose. What they plan counts for the caps and
    resources of those behind them."""
    taken = 0
    best: Considered | None = None
    planned: list[Contact] = []
    used: Used = dict(considered[0].situation.history.used) if considered else {}
    acted: set[tuple[str, str]] = set()
    open_ = (one for one in considered if one.drop is None)
    for one in sorted(open_, key=lambda one: _turn(one, ruleset)):
        rule = one.live.rule
        free = _is_free(one, ruleset)
        place = (rule.key, entry_key(one.live, one.situation))
        if place in acted:
            once = "the rule acts once for the touchpoints that are judged together"
            one.drop = Drop("re_entry", "already_chosen", once, False, True)
        elif not free and best is not None and taken >= (rule.max_actions or ruleset.max_actions):
            one.drop = _outranked(one, best)
        else:
            _plan(one, ruleset, planned, used)
        if one.planned:
            acted.add(place)
            if not free:
                taken += 1
                best = best or one
    for one in considered:
        if one.score is not None:
            one.score.probability = 1.0 if one.planned else 0.0


def _is_free(one: Considered, ruleset: RuleSet) -> bool:
    return one.live.rule.category in ruleset.unarbitrated


def _plan(one: Considered, ruleset: RuleSet, planned: list[Contact], used: Used) -> None:
    more = list(planned)
    asking = one.asking
    assert asking is not None  # noqa: S101 - it was considered
    asking.beside(more)
    one.drop = asking.walk(one.choices, asking.plan)
    if one.drop is not None:
        return
    first = asking.made[0]
    costs = one.live.rule.costs
    one.drop = lacking(ruleset.resources, costs, used, first.due_at)
    if one.drop is not None:
        return
    uses = uses_of(ruleset.resources, costs, first.due_at)
    for use in uses:
        used[(use.resource, use.window)] = used.get((use.resource, use.window), 0.0) + use.amount
    one.planned = [replace(first, uses=uses) if uses else first, *asking.made[1:]]
    planned[:] = more


def _outranked(one: Considered, best: Considered) -> Drop:
    assert one.score is not None  # noqa: S101 - open candidates have one
    assert best.score is not None  # noqa: S101 - the best was open
    beats = f"a better score than {best.live.key}"
    return Drop("arbitration", "lower_priority", beats, best.score.total, one.score.total)


Place = tuple[Rank, float, str]


def _place(one: Considered, tie: Sequence[str]) -> Place:
    """The best first; of one rule for several touchpoints that of the newest."""
    assert one.score is not None  # noqa: S101 - only open candidates are ranked
    rule = one.live.rule
    ranked = rank(one.score, value=rule.worth.value, priority=rule.priority, key=rule.key, tie=tie)
    return (ranked, *_newest(one))


def _turn(one: Considered, ruleset: RuleSet) -> tuple[bool, Place]:
    """Who acts whatever happens goes first: nobody behind it can then pass a cap beside it."""
    return not _is_free(one, ruleset), _place(one, ruleset.joint.tie)


def _newest(one: Considered) -> tuple[float, str]:
    moment = one.situation.moment
    occurred = 0.0 if moment.occurred is None else -moment.occurred.timestamp()
    return occurred, moment.cause.id or ""


def _reading_order(one: Considered, tie: Sequence[str]) -> tuple[bool, bool, Place]:
    """Winners first, then whoever had a score, the best first; the rest by key."""
    if one.score is None:
        return (True, True, ((one.live.key,), *_newest(one)))
    return (not one.planned, False, _place(one, tie))
