"""The index of rules finds what asking every rule finds; `make bench-rules` does it for 10,000."""

from bench.rules import AskEveryRule, measure, parsed, random_facts, rule_documents
from services.orchestrator.domain.trigger_index import RuleSet


def test_the_index_routes_as_asking_every_rule_does() -> None:
    found = measure(1_000, 3_000)
    assert found.wrong == 0
    assert found.matches > found.events


def test_an_index_that_is_built_on_the_one_before_is_the_same() -> None:
    rules = parsed(rule_documents(300))
    facts = random_facts(300)
    live = RuleSet(epoch=1, rules=rules[:200])
    for epoch, some in enumerate([rules[50:], rules[:250], rules[::2], [], rules], 2):
        live = RuleSet(epoch=epoch, rules=some, before=live)
        assert list(live.rules) == [rule.key for rule in some]
        brute = AskEveryRule(live)
        for seen in facts:
            assert [one.key for one in live.candidates(seen)] == brute(seen)
