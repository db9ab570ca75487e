"""Whatever JSON is given as configuration, it is read or refused; nothing else is ever raised."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_document import TRIGGER_FIELDS
from shared.errors import Problem, Unprocessable
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.test_rule_document import FULL

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)

TRIGGERS: list[dict[str, Any]] = [
    {"type": "segment_entered", "segment": "vip"},
    {"type": "schedule", "rrule": "FREQ=DAILY", "zone": "Asia/Tokyo", "audience": {"segment": "a"}},
    {"type": "trait_changed", "trait": "tier"},
    {"type": "persona_changed"},
    {"type": "api"},
]
RRULE_PARTS = [
    *("FREQ=HOURLY", "FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "FREQ=SECONDLY"),
    *("INTERVAL=2", "INTERVAL=12", "UNTIL=20261231", "UNTIL=20261231T000000Z", "UNTIL=99999999"),
    *("BYMONTH=2", "BYMONTH=13", "BYMONTHDAY=29", "BYMONTHDAY=-31", "BYDAY=MO", "BYDAY=-5FR"),
    *("BYHOUR=3,4", "BYHOUR=24", "BYMINUTE=59", "BYSECOND=60", "BYSETPOS=-2", "WKST=SU", "COUNT=1"),
]
NO_PROBLEM = Problem("", "", "")


def attempt(parse: Any, document: object) -> None:
    """Parse it; a refusal has to name where, which rule, and why."""
    problems: tuple[Problem, ...] = ()
    try:
        parse(document, key="k", version=1)
    except Unprocessable as refused:
        problems = refused.problems or (NO_PROBLEM,)
    assert all(one.path and one.rule and one.message for one in problems)


@given(JSON, st.sampled_from([parse_rule, parse_policy, parse_template, parse_channel]))
def test_any_document(document: object, parse: Any) -> None:
    attempt(parse, document)


@given(st.sampled_from(sorted(FULL)), JSON)
def test_any_value_in_any_field_of_a_rule(name: str, value: object) -> None:
    attempt(parse_rule, {**FULL, name: value})


@given(st.sampled_from(sorted(FULL["trigger"])), JSON)
def test_any_value_in_the_trigger(name: str, value: object) -> None:
    attempt(parse_rule, rule_json(trigger={**FULL["trigger"], name: value}))


@given(st.sampled_from(TRIGGER_FIELDS), JSON, st.sampled_from(TRIGGERS))
def test_any_value_in_a_trigger_of_any_type(
    name: str, value: object, trigger: dict[str, Any]
) -> None:
    attempt(parse_rule, rule_json(trigger={**trigger, name: value}))


@given(st.lists(st.sampled_from(RRULE_PARTS), max_size=4))
@settings(deadline=None)  # a recurrence that never occurs is found out in a second
def test_any_recurrence(parts: list[str]) -> None:
    trigger = {**TRIGGERS[1], "rrule": ";".join(parts)}
    attempt(parse_rule, rule_json(trigger=trigger))


@given(
    st.sampled_from(["type", "channel", "template", "content", "delay", "queue", "fallback"]), JSON
)
def test_any_value_in_an_action(name: str, value: object) -> None:
    action = {"type": "message", "channel": "email", "content": {"body": "x"}}
    attempt(parse_rule, rule_json(actions=[{**action, name: value}]))
    attempt(parse_rule, rule_json(actions=[{**action, "fallback": [{**action, name: value}]}]))
