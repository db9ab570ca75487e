"""Whatever JSON is given as configuration, it is read or refused; nothing else is ever raised."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule_document import parse_rule
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


@given(st.sampled_from(["type", "channel", "template", "content", "delay", "queue"]), JSON)
def test_any_value_in_an_action(name: str, value: object) -> None:
    action = {"type": "message", "channel": "email", "content": {"body": "x"}}
    attempt(parse_rule, rule_json(actions=[{**action, name: value}]))
