"""Texts that made other template engines run code: here they are text, or they are refused."""

import pytest

from services.orchestrator.domain.content import Content, ContentFailed, parse_template
from shared.conditions.facts import Facts
from shared.errors import Unprocessable

PAYLOADS = [
    # Jinja2 and other engines in Python
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ config.items() }}", "{{ self.__init__ }}",
    "{{ profile.__class__ }}", "{{ profile['__class__'] }}", "{{ profile.items }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}", "{{ lipsum.__globals__ }}",
    "{{ request|attr('application') }}", "{{ ''|attr('__class__') }}", "{{ 'x'.format }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ x.__init__.__globals__['__builtins__']['__import__']('os') }}",
    "{{ '%s' % 7 }}", "{{ profile.first_name.__len__ }}", "{{ event.list.append }}",
    # CVE-2024-56326, CVE-2025-27516: str.format by another way
    "{{ '{0.__class__}'|attr('format') }}", "{{ '{0.__class__}' | map: 'format' }}",
    # Twig, FreeMarker, Velocity, Spring, OGNL, MVEL, Ruby, JavaScript
    "{{ _self.env.registerUndefinedFilterCallback('exec') }}", "${7*7}", "#{7*7}", "*{7*7}",
    "<#assign ex='freemarker.template.utility.Execute'?new()>${ex('id')}", "<%= 7*7 %>",
    "#set($x=7*7)$x", "${T(java.lang.Runtime).getRuntime().exec('id')}", "%{(#a='x')}", "@(7*7)",
    "script::Runtime.getRuntime().exec('id')", "{{constructor.constructor('return 7*7')()}}",
    "{{ 7*7 }}", "{{= 7*7 }}", "{{#with 's' as |string|}}{{/with}}", "{php}echo 7*7;{/php}",
    # what Liquid could load or count without an end
    "{% include '/etc/passwd' %}", "{% render 'x' %}", "{% layout 'x' %}", "{% extends 'x' %}",
    "{% for i in (1..100000000) %}x{% endfor %}",
    "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
    "{{ 'now' | date: '%s' }}", "{{ 'x' | times: 99999999999999999999 | times: 9999999999 }}",
]  # fmt: skip
FACTS = Facts(profile={"first_name": "Ada"}, computed={}, event={"list": [1, 2]})
TRACES = ("49", "class", "<built-in", "<function", "<method", "module", "root:", "uid=", "0x")


def rendered(source: str, field: str) -> str:
    """What is read; empty when the template is refused before or while it is rendered."""
    try:
        document = {"content": {"en": {field: source}}}
        content: Content = parse_template(document, key="t", version=1).content
        return str(content.render(FACTS, "en")[field])
    except (Unprocessable, ContentFailed):
        return ""


@pytest.mark.parametrize("source", PAYLOADS)
@pytest.mark.parametrize("field", ["body", "html"])
def test_nothing_is_run(source: str, field: str) -> None:
    shown = rendered(source, field)
    for trace in TRACES:
        assert trace not in shown or trace in source, shown
    assert len(shown) <= len(source) + 200


@pytest.mark.parametrize("source", PAYLOADS)
def test_nor_when_a_customer_is_called_so(source: str) -> None:
    """What comes from a customer is filled in, and never read as a template."""
    document = {"content": {"en": {"body": "Hi {{ profile.first_name }}"}}}
    content = parse_template(document, key="t", version=1).content
    facts = Facts(profile={"first_name": source}, computed={}, event={})
    assert content.render(facts, "en") == {"body": f"Hi {source}"}


def test_html_of_a_customer_stays_text_in_html() -> None:
    document = {"content": {"en": {"html": "<p>{{ profile.first_name }}</p>"}}}
    content = parse_template(document, key="t", version=1).content
    facts = Facts(profile={"first_name": "<script>alert(1)</script>"}, computed={}, event={})
    assert "<script>" not in str(content.render(facts, "en")["html"])
