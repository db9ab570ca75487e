"""The JSON form of rules, policies, channels and templates: what is taken and what is refused."""

from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.channel import default_channels, parse_channel
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.rule import Holdout
from services.orchestrator.domain.rule_document import parse_rule
from shared.conditions.tree import Compare, EventCount, InSegment
from shared.errors import Unprocessable
from tests.unit.orchestrator.build import email, rule_json

CHANGED = {"attr": "profile.a", "op": "changed_to", "value": 1}
FULL: dict[str, Any] = {
    "key": "cart-abandon",
    "version": 7,
    "status": "active",
    "category": "marketing",
    "topic": "promotions",
    "issue": "sales",
    "group": "cart",
    "trigger": {
        "type": "event",
        "event": "cart.updated",
        "where": {"attr": "event.total", "op": "gte", "value": 50},
        "max_age": "PT2H",
    },
    "engagement_policy": {
        "eligibility": {"all": [{"attr": "profile.age", "op": "gte", "value": 18}]},
        "suitability": {"not": {"segment": "open-complaint"}},
    },
    "re_entry": {"mode": "after_exit", "cooldown": "P1D", "key": "event.cart_id"},
    "holdout": {"percent": 10, "salt": "cart-2026q4"},
    "score": {
        "propensity": 0.12,
        "value": 18.0,
        "costs": {"call_minutes": 5},
        "customer": 2.5,
        "context": [
            {"when": {"attr": "context.intent", "op": "eq", "value": "checkout"}, "weight": 50}
        ],
        "lever": 20,
    },
    "priority": 60,
    "arbitration": {"max_actions": 2, "window": "PT5S"},
    "actions": [
        {
            "type": "message",
            "channel": "push",
            "template": "cart-push",
            "locale": "profile.locale",
            "delay": "PT1H",
            "expires_in": "PT4H",
            "fallback": [
                {"on": ["undeliverable", "expired"], "channel": "email", "template": "cart-mail"},
                {
                    "type": "task",
                    "channel": "call_centre",
                    "content": {"text": "Call"},
                    "queue": "late",
                    "expires_in": "P1D",
                    "locale": "fr",
                },
            ],
        },
        {
            "type": "task",
            "channel": "call_centre",
            "queue": "store:{{ profile.store }}",
            "content": {"text": "Call {{ profile.first_name }}"},
        },
    ],
    "exit_criteria": [
        {"event": "Order Completed", "where": {"attr": "event.total", "op": "gt", "value": 0}},
        {"segment": "do-not-contact"},
    ],
    "valid": {"from": "2026-11-01T00:00:00Z", "to": None},
}


def problems(parse: Any, document: object, key: str = "r") -> dict[str, str]:
    """The path and rule of each mistake."""
    with pytest.raises(Unprocessable) as refused:
        parse(document, key=key, version=1)
    return {problem.path: problem.rule for problem in refused.value.problems}


def message(parse: Any, document: object) -> str:
    with pytest.raises(Unprocessable) as refused:
        parse(document, key="r", version=1)
    return " ".join(problem.message for problem in refused.value.problems)


def test_reads_the_whole_form() -> None:
    rule = parse_rule(FULL, key="cart-abandon", version=3)
    assert rule.version == 3
    assert rule.trigger.max_age == timedelta(hours=2)
    assert rule.trigger.where == Compare("event.total", "gte", 50)
    assert (rule.re_entry.mode, rule.re_entry.key) == ("after_exit", "event.cart_id")
    assert (rule.worth.propensity, rule.worth.value, rule.worth.lever) == (0.12, 18.0, 20.0)
    assert (rule.priority, rule.max_actions) == (60, 2)
    first, second = rule.actions
    assert (first.kind, first.delay, first.expires_in) == (
        "send",
        timedelta(hours=1),
        timedelta(hours=4),
    )
    assert (second.kind, second.delay) == ("task", timedelta(0))
    assert rule.holdout == Holdout(10.0, "cart-2026q4")
    assert (rule.window, rule.costs, rule.customer) == (
        timedelta(seconds=5),
        {"call_minutes": 5.0},
        2.5,
    )
    assert rule.exit_criteria is not None
    assert isinstance(rule.exit_criteria[0], EventCount)
    assert rule.exit_criteria[1] == InSegment("do-not-contact")


def test_a_fallback_is_as_its_action_where_it_says_nothing() -> None:
    action = parse_rule(FULL, key="cart-abandon", version=1).actions[0]
    mail, call = action.fallback
    assert mail.on == {"undeliverable", "expired"}
    assert call.on == {"undeliverable", "no_consent", "capped"}
    assert (mail.spec.kind, mail.spec.template, mail.spec.locale) == (
        "send",
        "cart-mail",
        "profile.locale",
    )
    assert (mail.spec.delay, mail.spec.expires_in) == (action.delay, action.expires_in)
    assert (call.spec.kind, call.spec.locale, call.spec.expires_in) == (
        "task",
        "fr",
        timedelta(days=1),
    )
    assert call.spec.queue is not None
    assert not call.spec.fallback


def test_mistakes_in_a_fallback_have_their_place() -> None:
    fallback = [
        {"on": ["undelivrable", 7], "channel": "E-Mail", "content": {"body": "x"}},
        {"on": [], "template": "t", "content": {"body": "x"}, "typ": "task"},
    ]
    assert problems(parse_rule, rule_json(actions=[email(fallback=fallback)])) == {
        "actions[0].fallback[0].on[0]": "choice",
        "actions[0].fallback[0].on[1]": "choice",
        "actions[0].fallback[0].channel": "key",
        "actions[0].fallback[1].on": "min_items",
        "actions[0].fallback[1].typ": "unknown_field",
        "actions[0].fallback[1].channel": "required",
        "actions[0].fallback[1].template": "one_of",
    }
    many = [{"channel": "sms", "template": "t"}] * 6
    found = problems(parse_rule, rule_json(actions=[email(fallback=many)]))
    assert found == {"actions[0].fallback": "max_items"}


def test_mistakes_in_holdout_score_and_window_have_their_place() -> None:
    document = rule_json(
        holdout={"percent": 120, "salz": "x"},
        score={"costs": {"Call minutes": 1, "calls": "many"}, "customer": "happy", "worth": 1},
        arbitration={"window": "P2D"},
    )
    assert problems(parse_rule, document) == {
        "holdout.percent": "number_range",
        "holdout.salz": "unknown_field",
        "score.costs.Call minutes": "key",
        "score.costs.calls": "number_range",
        "score.customer": "number_range",
        "score.worth": "unknown_field",
        "arbitration.window": "duration",
    }
    assert problems(parse_rule, rule_json(holdout={})) == {"holdout.percent": "required"}


def test_a_holdout_is_told_apart_by_the_key_of_its_rule() -> None:
    held = parse_rule(rule_json(holdout={"percent": 5}), key="r", version=1).holdout
    assert held == Holdout(5.0, "r")


def test_a_small_rule_has_sound_defaults() -> None:
    rule = parse_rule(rule_json(category=None), key="r", version=1)
    assert rule.category == "marketing"
    assert rule.trigger.max_age == rule.actions[0].expires_in == timedelta(hours=24)
    assert not rule.trigger.historical
    assert rule.re_entry.mode == "always"
    assert rule.exit_criteria is None
    assert (rule.holdout, rule.window, rule.costs, rule.customer) == (None, None, {}, None)
    assert rule.actions[0].fallback == ()
    assert (rule.trigger.kind, rule.trigger.include_existing) == ("event", False)


def test_names_all_mistakes_at_once_with_their_paths() -> None:
    document = {
        **FULL,
        "triger": 1,
        "category": "marketting",
        "priority": "high",
        "trigger": {"type": "event", "max_age": "1 day", "where": {"attr": "event.total"}},
        "actions": [email(template="both"), {"type": "fax", "channel": "E-Mail"}],
        "valid": {"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"},
    }
    assert problems(parse_rule, document, "cart-abandon") == {
        "triger": "unknown_field",
        "category": "choice",
        "priority": "number_range",
        "trigger.event": "required",
        "trigger.max_age": "duration",
        "trigger.where.op": "required",
        "actions[0].template": "one_of",
        "actions[1].type": "choice",
        "actions[1].channel": "key",
        "actions[1].template": "one_of",
        "valid.to": "time_order",
    }


def test_says_what_was_probably_meant() -> None:
    assert 'Did you mean "trigger"?' in message(parse_rule, rule_json(triger={}))
    assert 'Did you mean "marketing"?' in message(parse_rule, rule_json(category="marketting"))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"experiments": []}, "experiments"),
        ({"nodes": []}, "nodes"),
        ({"quiet_hours": []}, "quiet_hours"),
        ({"include_existing": True}, "include_existing"),
        ({"actions": [email(on_failure="continue")]}, "actions[0].on_failure"),
        ({"actions": [email(outcomes={})]}, "actions[0].outcomes"),
        (
            {"actions": [email(fallback=[{"channel": "sms", "delay": "PT1H"}])]},
            "actions[0].fallback[0].delay",
        ),
        (
            {"trigger": {"event": "x", "where": CHANGED}},
            "trigger.where",
        ),
        (
            {"exit_criteria": [{"attr": "profile.a", "op": "changed_to", "value": 1}]},
            "exit_criteria[0]",
        ),
    ],
)  # fmt: skip
def test_what_a_rule_does_not_do_is_refused_with_a_sentence(
    change: dict[str, Any], path: str
) -> None:
    document = rule_json(**change)
    assert problems(parse_rule, document)[path] == "not_available"
    assert "not available" in message(parse_rule, document).lower()


def test_past_touchpoints_are_counted_wherever_a_rule_asks() -> None:
    past = {"event": "order.placed", "within": "PT2H", "count": {"gte": 2}}
    rule = parse_rule(
        rule_json(
            trigger={"event": "x", "where": past},
            engagement_policy={"applicability": {"not": past}},
            exit_criteria=[past, {"event": "y"}],
        ),
        key="r",
        version=1,
    )
    assert rule.exit_criteria is not None
    assert rule.trigger.where == rule.exit_criteria[0] != rule.exit_criteria[1]
    wrong = {"applicability": {"event": "x", "within": "2 hours"}}
    assert problems(parse_rule, rule_json(engagement_policy=wrong)) == {
        "engagement_policy.applicability.within": "duration"
    }


@pytest.mark.parametrize("document", [None, [], "rule", 7, {"actions": 1, "trigger": []}])
def test_any_json_is_refused_politely(document: object) -> None:
    assert problems(parse_rule, document)


def test_another_key_in_the_body_is_a_mistake() -> None:
    assert problems(parse_rule, rule_json(key="other")) == {"key": "same_key"}


def test_channels_have_defaults_and_can_be_changed() -> None:
    channels = default_channels()
    assert channels["email"].online
    assert not channels["call_centre"].online
    changed = parse_channel(
        {"enabled": False, "address": {"trait": "mail"}}, key="email", version=2
    )
    assert (changed.enabled, changed.address, changed.trait) == (False, (), "mail")
    assert problems(parse_channel, {"connector": "smtp"}, "email") == {"smtp": "required"}


def test_a_template_is_checked_when_saved() -> None:
    document = {
        "content": {"en": {"subject": "{{ x | shout }}", "body": "{% if %}"}, "fr": []},
        "default_locale": "de",
        "fallbacks": {"first_name": {"a": 1}, "other.thing": "x"},
    }
    assert problems(parse_template, document) == {
        "content.en.subject": "liquid",
        "content.en.body": "liquid",
        "content.fr": "type",
        "default_locale": "choice",
        "fallbacks.first_name": "type",
        "fallbacks.other.thing": "choice",
    }
