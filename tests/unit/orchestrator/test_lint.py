"""Warnings about rules: what is allowed and probably not meant."""

from typing import Any

import pytest

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.lint import (
    conditions_of,
    segments_of,
    trait_warnings,
    warnings_of,
)
from shared.conditions.trait_types import TraitType
from tests.unit.orchestrator.build import NOON, email, policy, rule

CHEAP = {"attr": "event.total", "op": "lt", "value": 3}
DEAR = {"attr": "event.total", "op": "gt", "value": 5}
LYON = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
SMS = {"channel": "sms", "content": {"text": "Hi"}}


def warned(*policies: ContactPolicy, **fields: Any) -> dict[str, str]:
    return {one.path: one.rule for one in warnings_of(rule(**fields), policies, NOON)}


def on(**trigger: Any) -> dict[str, Any]:
    return {"trigger": trigger}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, {}),
        (
            {"engagement_policy": {"eligibility": {"all": [CHEAP, DEAR]}}},
            {"engagement_policy.eligibility": "never_holds"},
        ),
        (
            {**on(event="x", where=DEAR), "engagement_policy": {"suitability": CHEAP}},
            {"engagement_policy": "never_holds"},
        ),
        (
            {
                **on(type="segment_entered", segment="vip"),
                "engagement_policy": {"suitability": {"not": {"segment": "vip"}}},
            },
            {"engagement_policy": "never_holds"},
        ),
        (
            {
                **on(type="segment_left", segment="vip"),
                "engagement_policy": {"eligibility": {"segment": "vip"}},
            },
            {"engagement_policy": "never_holds"},
        ),
        (
            {"score": {"context": [{"when": {"all": [CHEAP, DEAR]}, "weight": 5}]}},
            {"score.context[0].when": "never_holds"},
        ),
        ({"valid": {"to": "2026-11-20T00:00:00Z"}}, {"valid.to": "over"}),
        (
            on(type="schedule", rrule="FREQ=DAILY;UNTIL=20200101", audience=LYON),
            {"trigger.rrule": "over"},
        ),
        (on(type="schedule", rrule="FREQ=DAILY", audience=LYON), {}),
        (
            {"exit_criteria": [{"event": "Bought"}, {"event": "Cart Updated"}]},
            {"exit_criteria[1]": "own_trigger"},
        ),
        ({"exit_criteria": [{"event": "Cart Updated", "where": DEAR}]}, {}),
        (
            {
                **on(type="segment_entered", segment="vip"),
                "exit_criteria": [{"segment": "vip"}],
            },
            {"exit_criteria": "own_trigger"},
        ),
    ],
)
def test_what_never_works_is_said(fields: dict[str, Any], found: dict[str, str]) -> None:
    assert warned(**fields) == found


def test_a_rule_over_a_cap_by_itself_is_said() -> None:
    once = policy({"scope": {"channel": "email"}, "limit": 1, "window": "P1D"})
    twice = [email(), email(delay="PT1H")]
    assert warned(once, actions=twice) == {"actions[1]": "over_cap"}
    assert warned(once, actions=[email(), email(delay="P2D")]) == {}
    assert warned(once, actions=[email(), {"type": "message", **SMS}]) == {}
    never = policy({"scope": {"category": "service"}, "limit": 0, "window": "P1D"})
    assert warned(never) == {"actions[0]": "over_cap"}


def test_a_fallback_that_nothing_leads_to_is_said() -> None:
    mail = {"channel": "email", "content": {"body": "x"}}
    assert warned(actions=[email(fallback=[SMS, mail])]) == {
        "actions[0].fallback[1]": "unreachable"
    }
    declined = {**mail, "on": ["declined"]}
    assert warned(actions=[email(fallback=[SMS, declined])]) == {}
    gated = {**SMS, "on": ["no_consent", "capped"]}
    found = warned(category="legal", actions=[email(fallback=[gated])])
    assert found == {"actions[0].fallback[0]": "unreachable"}
    assert warned(actions=[email(fallback=[gated])]) == {}


def test_lists_the_segments_it_names_with_their_places() -> None:
    one = rule(
        trigger={"type": "segment_left", "segment": "vip"},
        engagement_policy={"suitability": {"all": [{"segment": "new"}, {"segment": "vip"}]}},
        exit_criteria=[{"event": "x"}, {"segment": "gone"}],
    )
    assert segments_of(one) == {
        "vip": "trigger.segment",
        "new": "engagement_policy.suitability",
        "gone": "exit_criteria[1]",
    }


def test_an_answer_has_no_fallback() -> None:
    actions = [email(fallback=[{"on": ["declined"], **SMS}])]
    assert warned(actions=actions, **on(type="api")) == {"actions[0].fallback[0]": "unreachable"}


@pytest.mark.parametrize(
    ("leaf", "warned"),
    [
        ({"attr": "profile.tier", "op": "eq", "value": "gold"}, None),
        ({"attr": "profile.tier", "op": "gt", "value": 3}, "trait_type"),
        ({"attr": "profile.tier.name", "op": "eq", "value": "gold"}, "trait_type"),
        ({"attr": "profile.computed.orders", "op": "gte", "value": 3}, None),
        ({"attr": "profile.computed.spent", "op": "gte", "value": "much"}, "trait_type"),
        ({"attr": "profile.computed.gone", "op": "exists", "value": True}, "unknown_trait"),
        ({"attr": "profile.unheard_of", "op": "gt", "value": 3}, None),
        ({"attr": "event.tier", "op": "gt", "value": 3}, None),
    ],
)
def test_a_trait_is_asked_for_what_it_can_answer(leaf: dict[str, Any], warned: str | None) -> None:
    types: dict[str, TraitType | None] = {
        "profile.tier": "string", "profile.computed.orders": None,
        "profile.computed.spent": "decimal",
    }  # fmt: skip
    found = trait_warnings(conditions_of(rule(engagement_policy={"eligibility": leaf})), types)
    assert [(one.path, one.rule) for one in found] == [
        ("engagement_policy.eligibility", kind) for kind in (warned,) if kind is not None
    ]
