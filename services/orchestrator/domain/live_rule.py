"""A rule that is in force: its conditions compiled, with the words for why one does not hold."""

from dataclasses import dataclass

from services.orchestrator.domain.rule import Rule
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.explain import Explained, Failure
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.leaves import is_of_one_event, leaf_hash, of_this_event
from shared.conditions.sentence import sentence
from shared.conditions.tree import Condition, EventCount


class Clause:
    """One condition of a rule: a fast answer, and the reason for it when somebody has to see it."""

    __slots__ = ("_explained", "holds", "words")

    def __init__(self, condition: Condition) -> None:
        self.holds: Holds = compile_condition(condition)
        self.words = sentence(condition)
        self._explained = Explained(condition)

    def failure(self, facts: Facts) -> Failure | None:
        """The part that does not hold and what it saw; None when the condition holds."""
        return None if self.holds(facts) else self._explained.failure(facts)


@dataclass(frozen=True, slots=True, eq=False)
class ExitEvent:
    """A later touchpoint that ends a reason; `criterion` is the same for equal events."""

    criterion: str
    event: str
    holds: Holds
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class LiveRule:
    """A rule with its conditions compiled. Without explicit exit criteria, both are empty."""

    rule: Rule
    eligibility: Clause | None
    applicability: Clause | None
    suitability: Clause | None
    contexts: tuple[tuple[Holds, float], ...]
    exit_events: tuple[ExitEvent, ...]
    exit_conditions: tuple[Clause, ...]
    entry_key: Read | None

    @property
    def key(self) -> str:
        return self.rule.key

    @property
    def remembers_entries(self) -> bool:
        """Whether a decision has to know when the rule last acted."""
        return self.rule.re_entry.mode == "never" or bool(self.rule.re_entry.cooldown)

    @property
    def has_fallbacks(self) -> bool:
        """Whether something may be done instead of what it does."""
        return any(spec.fallback for spec in self.rule.actions)

    @property
    def keeps_watch(self) -> bool:
        """Whether its published actions can still be taken back."""
        return self.rule.exit_criteria is not None


def compile_rule(rule: Rule) -> LiveRule:
    """The rule, ready to be asked."""
    policy = rule.engagement_policy
    criteria = rule.exit_criteria or ()
    events = [one for one in criteria if isinstance(one, EventCount) and is_of_one_event(one)]
    key = rule.re_entry.key
    return LiveRule(
        rule=rule,
        eligibility=_clause(policy.eligibility),
        applicability=_clause(policy.applicability),
        suitability=_clause(policy.suitability),
        contexts=tuple((compile_condition(when), weight) for when, weight in rule.worth.context),
        exit_events=tuple(_exit_event(one) for one in events),
        exit_conditions=tuple(Clause(one) for one in criteria if one not in events),
        entry_key=None if key is None else reader(key),
    )


def _clause(condition: Condition | None) -> Clause | None:
    return None if condition is None else Clause(condition)


def _exit_event(leaf: EventCount) -> ExitEvent:
    condition = of_this_event(leaf)
    return ExitEvent(leaf_hash(leaf), leaf.event, compile_condition(condition), sentence(condition))
