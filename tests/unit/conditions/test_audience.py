"""An audience is a condition that a profile alone can answer; mistakes are named by their place."""

import pytest

from shared.conditions.audience import read_audience
from shared.conditions.parse import MAX_NODES
from shared.conditions.tree import All, Compare, HasConsent, InSegment, IsPersona, Not
from shared.errors import Problem

CITY = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
CONSENT = {"consent": {"purpose": "marketing", "channel": "email"}}


def test_traits_computed_traits_and_consents_may_be_asked() -> None:
    problems: list[Problem] = []
    orders = {"attr": "profile.computed.orders", "op": "gte", "value": 2}
    found = read_audience({"all": [CITY, {"not": CONSENT}, orders]}, problems)
    assert found == All(
        (
            Compare("profile.city", "eq", "Lyon"),
            Not(HasConsent("marketing", "email")),
            Compare("profile.computed.orders", "gte", 2),
        )
    )
    assert problems == []


def test_segments_and_personas_may_be_asked() -> None:
    problems: list[Problem] = []
    found = read_audience({"all": [{"segment": "vip"}, {"not": {"persona": "saver"}}]}, problems)
    assert found == All((InSegment("vip"), Not(IsPersona("saver"))))
    assert problems == []


@pytest.mark.parametrize(
    ("document", "path", "rule"),
    [
        ("everybody", "audience", "type"),
        ({}, "audience", "one_kind"),
        ({"all": []}, "audience.all", "min_items"),
        ({"any": [CITY] * MAX_NODES}, f"audience.any[{MAX_NODES - 1}]", "max_nodes"),
        ({"attr": "profile.city", "op": "equals", "value": 1}, "audience.op", "unknown_op"),
        ({"event": "Order Completed"}, "audience.event", "event_leaf"),
        ({"attr": "event.total", "op": "gt", "value": 1}, "audience.attr", "profile_only"),
        (
            {"any": [CITY, {"not": {"attr": "context.ip", "op": "exists"}}]},
            "audience.any[1].not.attr",
            "profile_only",
        ),
        ({"attr": "profile.a", "op": "changed_to", "value": 1}, "audience.op", "profile_only"),
    ],
)
def test_what_no_profile_can_answer_is_a_mistake(document: object, path: str, rule: str) -> None:
    problems: list[Problem] = []
    assert read_audience(document, problems) is None
    assert [(one.path, one.rule) for one in problems] == [(path, rule)]
