"""What stands around the walk: counts, lines, and the rule that a node is for the arbiter."""

from datetime import timedelta

import pytest

from services.orchestrator.domain.journeys.candidate import rule_of
from services.orchestrator.domain.journeys.counts import counts_of
from services.orchestrator.domain.journeys.document import conditions_of
from services.orchestrator.domain.rule_leaves import leaves_in
from services.orchestrator.domain.run import effect_id, run_id
from services.orchestrator.domain.trigger_index import RuleSet
from tests.unit.orchestrator.journeys.build import Play, end, journey, mail, wait


def test_the_ids_of_runs_and_of_what_they_do_never_change() -> None:
    """Another id would let everybody enter, and everything happen, once more."""
    run = run_id("welcome", "t1", "o1")
    assert str(run) == "9f0fa3bb-9b11-5963-b855-19af954701bd"
    assert str(effect_id(run, "hello", 1)) == "63a8533c-3e96-5ef8-bfe7-280848175a08"


def test_counts_come_from_the_log() -> None:
    play = Play.of(
        mail("a", "w"),
        wait("w", "b", until={"event": "app.opened"}, timeout="P1D", timeout_next="end"),
        mail("b"), end(), goal={"event": "Order Completed", "exits": False},
        answers={"b": "capped"},
    ).enter()  # fmt: skip
    play.happens("app.opened")
    play.happens("Order Completed")
    found = counts_of(note for done in play.made for note in done.notes)
    assert found == {
        ("", "entered", ""): 1, ("", "ended", "completed"): 1, ("", "goal", ""): 1,
        ("a", "arrived", ""): 1, ("a", "answered", "sent"): 1, ("a", "left", "next"): 1,
        ("a", "goal", ""): 1,
        ("w", "arrived", ""): 1, ("w", "left", "next"): 1,
        ("b", "arrived", ""): 1, ("b", "answered", "capped"): 1, ("b", "left", "next"): 1,
        ("end", "arrived", ""): 1,
    }  # fmt: skip


def test_a_node_is_a_rule_for_the_arbiter_and_waits_for_no_trigger_of_its_own() -> None:
    own = journey(
        mail("a", delay="PT1H", fallback=[{"channel": "sms", "content": {"body": "x"}}]), end(),
        category="marketing", topic="news", priority=7, score={"value": 3.0},
    )  # fmt: skip
    rule = rule_of(own, "a")
    assert (rule.key, rule.category, rule.topic, rule.priority) == ("j/a", "marketing", "news", 7)
    assert rule.actions[0].delay == timedelta(hours=1)
    live = RuleSet(epoch=1, rules=[rule]).rules["j/a"]
    assert live.keeps_watch
    assert not live.exit_events
    with pytest.raises(ValueError, match="does not act"):
        rule_of(own, "end")


def test_past_touchpoints_that_a_journey_counts_are_found() -> None:
    visited = {"event": "Store Visited", "within": "P30D"}
    own = journey(
        {"id": "b", "type": "branch", "else": "w",
         "cases": [{"when": {**visited, "count": {"gte": 2}}, "next": "end"}]},
        wait("w", until={**visited, "count": {"gte": 3}}, timeout="P9D"), end(),
        exit_criteria=[{"event": "Order Completed"}],
    )  # fmt: skip
    (leaf,) = leaves_in(condition for _, condition in conditions_of(own)).values()
    assert (leaf.event, leaf.count) == ("Store Visited", 3)
