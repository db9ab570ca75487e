"""Content: locale, fallbacks, escaping, and templates that try to run away."""

from typing import Any

import pytest

from services.orchestrator.domain.content import ContentFailed, parse_template
from shared.conditions.facts import Facts


def render(content: dict[str, Any], facts: Facts, locale: str | None = None, **more: Any) -> Any:
    template = parse_template({"content": content, **more}, key="t", version=1)
    return template.content.render(facts, locale)


def test_renders_profile_event_and_context() -> None:
    source = "{{ profile.first_name }} {{ profile.computed.orders }} {{ event.total }} {{ event.type }} {{ context.page }}"  # noqa: E501 - one template
    facts = Facts(
        profile={"first_name": "Ada"},
        computed={"orders": 3},
        event={"total": 59.9},
        event_type="Cart Updated",
        context={"page": "/cart"},
    )
    assert render({"en": {"body": source}}, facts) == {"body": "Ada 3 59.9 Cart Updated /cart"}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("fr", "fr"),
        ("fr-CA", "fr-CA"),
        ("FR_ca", "fr-CA"),
        ("fr-BE", "fr"),
        ("de-AT", "de-CH"),
        ("es", "en"),
        (None, "en"),
    ],
)
def test_chooses_the_nearest_locale(wanted: str | None, text: str) -> None:
    content = {name: {"body": name} for name in ("fr", "fr-CA", "de-CH", "en")}
    assert render(content, Facts(), wanted, default_locale="en") == {"body": text}


def test_a_missing_value_has_its_fallback() -> None:
    content = {"en": {"body": "Hi {{ profile.first_name }}, {{ event.shop }}{{ event.none }}"}}
    fallbacks = {"first_name": "there", "event.shop": "us"}
    for known in ({}, {"first_name": None}, {"first_name": ""}):
        assert render(content, Facts(profile=known), fallbacks=fallbacks) == {
            "body": "Hi there, us"
        }
    assert render(content, Facts(profile={"first_name": "Ada"})) == {"body": "Hi Ada, "}


def test_only_html_is_escaped_and_other_json_stays() -> None:
    content = {
        "en": {
            "html": "<b>{{ profile.name }}</b>",
            "footer_html": "{{ profile.name }}",
            "subject": "{{ profile.name }}",
            "data": {"n": 1, "list": ["{{ profile.name }}", True, None]},
        }
    }
    assert render(content, Facts(profile={"name": "<A&B>"})) == {
        "html": "<b>&lt;A&amp;B&gt;</b>",
        "footer_html": "&lt;A&amp;B&gt;",
        "subject": "<A&B>",
        "data": {"n": 1, "list": ["<A&B>", True, None]},
    }


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..100000) %}x{% endfor %}",
        "{% for i in (1..900) %}{% for j in (1..900) %}x{% endfor %}{% endfor %}",
        "{% assign a = 'xxxx' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}",
        "{{ profile.long | replace: 'x', profile.long | replace: 'x', profile.long }}",
        "{% assign n = 99999 %}{% for i in (1..900) %}{% assign n = n | times: n %}{% endfor %}",
        "{{ profile.long }}{{ profile.long }}{{ profile.long }}",
        "{{ 1 | divided_by: 0 }}",
        "{{ 'a' | slice: 'b' }}",
    ],
)  # fmt: skip
def test_a_template_that_runs_away_fails_and_ends(source: str) -> None:
    facts = Facts(profile={"long": "x" * 30_000})
    with pytest.raises(ContentFailed):
        render({"en": {"body": source}}, facts)


def test_reads_no_clock_and_no_files() -> None:
    content = {"en": {"body": "{{ 'now' | date: '%Y' }} {{ event.at | date: '%d.%m.%Y' }}"}}
    facts = Facts(event={"at": "2026-11-21T10:00:00Z"})
    assert render(content, facts) == {"body": "now 21.11.2026"}
