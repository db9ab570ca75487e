"""Which past touchpoints are counted for what is in force: recorded snapshots say how many."""

from services.orchestrator.domain.journeys.document import conditions_of
from services.orchestrator.domain.rule_leaves import leaves_in, leaves_of_rule
from services.orchestrator.domain.trigger_index import RuleSet


def leaves_counted(ruleset: RuleSet) -> frozenset[str]:
    """The hashes of the event leaves of all rules, and of every version of a journey that runs are
    in."""
    found: set[str] = set()
    for rule in ruleset.rules.values():
        found |= leaves_of_rule(rule.rule).keys()
    for journey in ruleset.journeys.journeys.values():
        for version in journey.versions.values():
            found |= leaves_in(one for _, one in conditions_of(version.journey)).keys()
    return frozenset(found)
