"""Templates that try to run long or grow large: each is refused, or done, within a second."""

import subprocess
import sys
from contextlib import suppress
from time import process_time
from typing import Any

import pytest

from services.orchestrator.domain.content import ContentFailed, parse_template
from shared.conditions.facts import Facts
from shared.errors import Unprocessable

SECONDS = 10.0
"""Of CPU; far above what the limits allow, far below what the sources would take without them."""
EVENT: dict[str, Any] = {
    "n": 9_999_999,
    "huge": 10**18,
    "text": "9999999",
    "float": 1e9,
    "low": -9_999_999,
    "digits": "9" * 4_000,
    "long": "x" * 30_000,
    "words": "x " * 30_000,
    "tags": "<a" * 30_000 + ">",
    "half_tags": "<!--" * 15_000 + ">",
    "list": list(range(10_000)),
    "nested": [{"a": ["b" * 200] * 20}] * 200,
}


def render(source: str, field: str = "body") -> str:
    content = {"en": {field: source}}
    template = parse_template({"content": content}, key="t", version=1)
    return str(template.content.render(Facts(event=EVENT), None)[field])


RANGES = [
    "{% if (1..event.n) contains 'x' %}{% endif %}",
    "{% unless (1..event.n) contains 'x' %}{% endunless %}",
    "{% case 'x' %}{% when (1..event.n) %}{% endcase %}",
    "{% assign r = (1..event.n) %}{{ r | size }}",
    "{% for i in (1..event.n) limit: 1 %}{% endfor %}",
    "{% for i in (1..event.n) reversed %}{% endfor %}",
    "{% tablerow i in (1..event.n) limit: 1 %}{% endtablerow %}",
    "{% cycle (1..event.n), 'x' %}",
    "{% echo (1..event.n) | first %}",
    "{{ 'x' | default: (1..event.n) }}",
    "{{ (1..event.n) }}",
    "{{ (1..9999999) | join: ',' }}",
    *(
        f"{{{{ (1..9999999) | {name} }}}}"
        for name in (
            "sort", "sort_natural", "reverse", "sum", "size", "first", "last", "uniq", "compact",
            "map: 'a'", "where: 'a'", "reject: 'a'", "find: 'a'", "find_index: 'a'", "has: 'a'",
            "slice: 0, 9999999", "concat: event.list",
        )
    ),
    "{{ (event.low..0) | first }}",
    "{{ (event.low..event.n) | last }}",
    "{{ (1..event.text) | size }}",
    "{{ (1..event.float) | size }}",
    "{{ (1..event.huge) | size }}",
    "{{ (1..event.digits) | size }}",
    "{{ (event.digits..event.digits) | size }}",
    "{{ (0..10000) | size }}",
]  # fmt: skip


@pytest.mark.parametrize("source", RANGES)
def test_a_long_range_is_refused_where_it_stands(source: str) -> None:
    started = process_time()
    with pytest.raises(ContentFailed, match="a range has"):
        render(source)
    assert process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ (1..3) | join: '-' }}", "1-2-3"),
        ("{{ (1..10000) | size }}", "10000"),
        ("{{ (-1..'1') | reverse | join }}", "1 0 -1"),
        ("{{ (3..1) | size }}{{ (event.n..1) | size }}", "00"),
        ("{{ (event.none..'x') | size }}", "1"),
        ("{% for i in (1..1000) %}{% if i == 1000 %}{{ i }}{% endif %}{% endfor %}", "1000"),
        ("{% assign a = 'b,c,b' | split: ',' | uniq %}{{ a | concat: a | join }}", "b c b c"),
    ],
)
def test_what_is_short_enough_works(source: str, text: str) -> None:
    assert render(source) == text


WHEN = "{% when " + ",".join("1" * 30) + " %}"
WORK = [
    ("{% case 1 %}" + WHEN) * 15 + "{{ '' }}" + "{% endcase %}" * 15,
    "{% for i in (1..1000) %}" + "{{ '' }}" * 3_000 + "{% endfor %}",
    "{% for i in (1..1000) %}" + "{% if a %}{% endif %}" * 1_200 + "{% endfor %}",
    "{% for i in (1..1000) %}{% cycle " + ",".join(["''"] * 8_000) + " %}{% endfor %}",
    "{% for i in (1..1000) %}" + "{% for j in (1..1) %}{% endfor %}" * 900 + "{% endfor %}",
    "{% for i in (1..1000) %}{% assign a = (1..9999) | sort | reverse %}{% endfor %}",
    "{% for i in (1..1000) %}{% if event.list contains 'x' %}{% endif %}{% endfor %}",
    "{% for i in (1..1000) %}{% assign a = event.nested | append: '' | size %}{% endfor %}",
    "{% for i in (1..1000) %}{% assign a = event.words | split: ' ' %}{% endfor %}",
    "{{ event.list | uniq | size }}",
    "{% assign a = (1..10000) | uniq: 'a' %}",
    "{{ '' }}" * 4_000 + "{{ event.list | concat: event.list }}",
    "{% for i in (1..999) %}{% assign a = a | append: 'xxxxxxxxx' | prepend: a %}{% endfor %}",
    "{% assign n = 9 %}{% for i in (1..999) %}{% assign n = n | times: n %}{% endfor %}",
    "{{ event.long | replace: 'x', event.long }}",
    "{{ event.long | replace: '', event.long }}",
    "{{ event.list | join: event.long }}",
    "{{ event.long | split: '' | size }}",
    "{{ event.digits | times: event.digits }}",
]  # fmt: skip


@pytest.mark.parametrize("source", WORK)
def test_too_much_work_is_refused(source: str) -> None:
    template = parse_template({"content": {"en": {"body": source}}}, key="t", version=1)
    started = process_time()
    with pytest.raises(ContentFailed):
        template.content.render(Facts(event=EVENT), None)
    assert process_time() - started < SECONDS


@pytest.mark.parametrize(
    "source",
    [
        "{{ event.tags | strip_html | size }}",
        "{{ event.half_tags | strip_html | size }}",
        "{{ event.long | truncate: event.n | size }}",
        "{{ event.long | slice: event.low, event.huge | size }}",
        "{{ 0 | date: '%999999999Y%999999999d%s' | size }}",
        "{{ event.huge | date: '%Y' }}{{ event.digits | date: '%Y' | size }}",
        "{{ 1.5 | round: event.n }}",
        "{{ 'x' | ljust: 99999999 }}",
        "{{ 1e308 | times: 1e308 }}",
        "{{ event.words | squish | truncatewords: event.n | size }}",
    ],
)
@pytest.mark.parametrize("field", ["body", "html"])
def test_a_filter_ends_soon_whatever_it_is_given(source: str, field: str) -> None:
    started = process_time()
    with suppress(ContentFailed, Unprocessable):
        assert len(render(source, field)) < 100
    assert process_time() - started < SECONDS


def test_the_budget_is_for_all_fields_together() -> None:
    busy = "{% for i in (1..1000) %}" + "{{ '' }}" * 30 + "{% endfor %}"
    assert render(busy) == ""
    content = {"en": {f"f{place}": busy for place in range(20)}}
    template = parse_template({"content": content}, key="t", version=1)
    with pytest.raises(ContentFailed, match="too much work"):
        template.content.render(Facts(), None)


def test_concat_says_what_is_wrong() -> None:
    with pytest.raises(ContentFailed, match="concat: what is added must be a list"):
        render("{{ event.list | concat: 'x' }}")


SOURCES = [
    "{{" * 16_000,
    "{%" * 16_000,
    "{{-" * 10_000,
    "{{ a }}" + "{{" * 16_000,
    "{% raw %}" * 3_500,
    "{% doc %}" * 3_400,
    "{% comment %}" * 2_500,
    "{{" + " " * 32_000 + "}}",
    "{% if" + " " * 32_000 + "%}",
    "{{ a" + " " * 32_000,
    "{%" + " " * 32_000 + "!%}",
    "{{ 'a" + "a" * 32_000 + " }}",
    "{{ " + "a[" * 15_000 + " }}",
    "{{ " + "(" * 30_000 + " }}",
    "{{ " + "['" * 15_000 + " }}",
    "{% raw %}{{ {% endraw %}{% if }} " + "(" * 30_000 + " %}",
    "{% liquid echo" + " " * 32_000 + "x %}",
    "{% if " + "1 and " * 5_000 + "1 %}{% endif %}",
    "{% if a %}" * 3_200,
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source[:16])
def test_a_source_that_cannot_be_read_is_refused_soon(source: str) -> None:
    """In a process of its own: a regular expression that runs away cannot be stopped in this."""
    seconds = 4 * SECONDS  # some are read to the end before they are wrong
    code = (
        "import sys\n"
        "from services.orchestrator.domain.content import parse_template\n"
        "from shared.errors import Unprocessable\n"
        "from time import process_time\n"
        "started = process_time()\n"
        "try:\n"
        "    content = {'en': {'body': sys.stdin.read()}}\n"
        "    parse_template({'content': content}, key='t', version=1)\n"
        "except Unprocessable:\n"
        f"    sys.exit(process_time() - started > {seconds})\n"
        "sys.exit('it was read')\n"
    )
    subprocess.run([sys.executable, "-c", code], input=source, text=True, check=True, timeout=30)


@pytest.mark.parametrize(
    "source",
    [
        "{{ profile" + ".a" * 10_000 + " }}",
        "{{ profile" + " . a" * 30 + " }}",
        "{{ profile" + ".a['b']" * 15 + " }}",
        "{% if event" + "[0]" * 30 + " %}x{% endif %}",
        "{% assign x = profile" + ".a" * 30 + " %}",
    ],
)
def test_a_variable_has_so_many_parts(source: str) -> None:
    began = process_time()
    with pytest.raises(Unprocessable) as refused:
        render(source)
    assert [one.rule for one in refused.value.problems] == ["max_depth"]
    assert process_time() - began < 0.5


def test_a_variable_of_many_parts_is_taken() -> None:
    assert render("{{ event" + ".a" * 29 + " }}x") == "x"
