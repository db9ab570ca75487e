"""What is counted for what is in force."""

from typing import Any

from services.orchestrator.domain.counted_leaves import leaves_counted
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from tests.unit.orchestrator.build import rule
from tests.unit.orchestrator.journeys.build import end, journey, mail, wait


def counts(event: str) -> dict[str, Any]:
    return {"event": event, "count": {"gte": 2}, "within": "P7D"}


def name_of(event: str) -> str:
    leaf = parse_condition(counts(event), allow_event_leaves=True)
    assert isinstance(leaf, EventCount)
    return leaf_hash(leaf)


def test_rules_and_every_version_of_journeys_that_runs_are_in() -> None:
    before = journey(
        {"id": "which", "type": "branch", "else": "end",
         "cases": [{"when": counts("Viewed"), "next": "hi"}]},
        mail("hi"), end(),
    )  # fmt: skip
    after = journey(
        wait("w", "end", until=counts("Called"), timeout="P3D"), end(),
        version=2, exit_criteria=[counts("Returned")],
    )  # fmt: skip
    asks = rule("asks", engagement_policy={"eligibility": counts("Bought")})
    found = leaves_counted(
        RuleSet(epoch=1, rules=[asks], journeys=[LiveJourney([before, after], live=2)])
    )
    assert found == {name_of(one) for one in ("Viewed", "Called", "Returned", "Bought")}
