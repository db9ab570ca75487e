"""What the parser takes, and what it says about what it does not take."""

from datetime import timedelta
from typing import Any

import pytest

from shared.conditions.mistakes import MAX_MISTAKES
from shared.conditions.parse import parse_condition, read_condition
from shared.conditions.tree import (
    All,
    Compare,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Not,
    to_json,
)
from shared.conditions.tree import (
    Any as AnyOf,
)
from shared.errors import Problem, Unprocessable

GOOD: dict[str, Any] = {"attr": "event.total", "op": "gte", "value": 50}


def mistakes(document: Any, **options: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.rule) for problem in problems(document, **options)]


def problems(document: Any, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(Unprocessable) as refused:
        parse_condition(document, **options)
    return refused.value.problems


def test_every_kind_of_node() -> None:
    document = {
        "all": [
            GOOD,
            {"any": [{"segment": "vip"}, {"persona": "hunter"}]},
            {"not": {"consent": {"purpose": "marketing", "channel": "email"}}},
            {"attr": "profile.tier", "op": "in", "value": ["gold", "silver"]},
            {"attr": "event.coupon", "op": "exists"},
            {"event": "visit", "where": GOOD, "count": {"lt": 3}, "within": "P1W"},
            {"event": "visit"},
        ]
    }

    condition = parse_condition(document, allow_event_leaves=True)

    total = Compare("event.total", "gte", 50)
    assert condition == All(
        (
            total,
            AnyOf((InSegment("vip"), IsPersona("hunter"))),
            Not(HasConsent("marketing", "email")),
            Compare("profile.tier", "in", ("gold", "silver")),
            Compare("event.coupon", "exists", True),
            EventCount("visit", total, "lt", 3, timedelta(days=7)),
            EventCount("visit", None, "gte", 1, None),
        )
    )
    assert parse_condition(to_json(condition), allow_event_leaves=True) == condition


def leaf(op: Any, value: Any, attr: Any = "event.x") -> dict[str, Any]:
    return {"attr": attr, "op": op, "value": value}


@pytest.mark.parametrize(
    ("document", "path", "rule"),
    [
        (None, "", "type"),
        ([], "", "type"),
        ("all", "", "type"),
        ({}, "", "one_kind"),
        ({"all": [GOOD], "any": [GOOD]}, "", "one_kind"),
        ({"all": GOOD}, ".all", "type"),
        ({"all": []}, ".all", "min_items"),
        ({"any": []}, ".any", "min_items"),
        ({"all": [GOOD, 5]}, ".all[1]", "type"),
        ({"not": None}, ".not", "type"),
        ({"any": [{"not": {"all": [GOOD, {}]}}]}, ".any[0].not.all[1]", "one_kind"),
        ({**GOOD, "vlaue": 1}, ".vlaue", "unknown_field"),
        ({"segment": "vip", "op": "eq"}, ".op", "unknown_field"),
        ({"attr": "event.x", "value": 1}, ".op", "required"),
        ({"attr": "event.x", "op": "eq"}, ".value", "required"),
        (leaf("eq", 1, attr=5), ".attr", "type"),
        (leaf("eq", 1, attr=""), ".attr", "min_length"),
        (leaf("eq", 1, attr="event." + "x" * 200), ".attr", "max_length"),
        (leaf("eq", 1, attr="event"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="event."), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="event..x"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="events.x"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="profile.computed"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="profile.traits.x"), ".attr", "unknown_attribute"),
        (leaf("contains", "vip", attr="profile.segments"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="event.properties.x"), ".attr", "unknown_attribute"),
        (leaf("eq", 1, attr="event.\x00"), ".attr", "text"),
        (leaf("matches", "x"), ".op", "unknown_op"),
        (leaf(None, "x"), ".op", "type"),
        (leaf("eq", None), ".value", "value_type"),
        (leaf("eq", {}), ".value", "value_type"),
        (leaf("eq", [1]), ".value", "value_type"),
        (leaf("eq", "x" * 1001), ".value", "max_length"),
        (leaf("eq", "\ud800"), ".value", "text"),
        (leaf("eq", 2**63), ".value", "number_range"),
        (leaf("eq", float("inf")), ".value", "number_range"),
        (leaf("eq", float("nan")), ".value", "number_range"),
        (leaf("gt", True), ".value", "value_type"),
        (leaf("starts_with", 5), ".value", "value_type"),
        (leaf("starts_with", ""), ".value", "min_length"),
        (leaf("contains", ""), ".value", "min_length"),
        (leaf("exists", "yes"), ".value", "value_type"),
        (leaf("exists", 1), ".value", "value_type"),
        (leaf("in", "gold"), ".value", "value_type"),
        (leaf("in", []), ".value", "min_items"),
        (leaf("nin", list(range(1001))), ".value", "max_items"),
        (leaf("in", [1, "1"]), ".value", "same_type"),
        (leaf("in", [1, True]), ".value", "same_type"),
        (leaf("in", [1, None]), ".value[1]", "value_type"),
        (leaf("between", 5), ".value", "value_type"),
        (leaf("between", [5]), ".value", "value_type"),
        (leaf("between", [1, 2, 3]), ".value", "value_type"),
        (leaf("between", [5, "9"]), ".value", "same_type"),
        (leaf("between", ["2026-11-21T10:00:00Z", "x"]), ".value", "same_type"),
        (leaf("between", [False, True]), ".value", "value_type"),
        (leaf("between", [5, 4]), ".value", "order"),
        (
            leaf("between", ["2026-11-21T10:00:00Z", "2026-11-21T10:30:00+01:00"]),
            ".value",
            "order",
        ),
        (leaf("changed_to", 1), ".value", "value_type"),
        (leaf("eq", 5, attr="event.type"), ".value", "value_type"),
        (leaf("in", [True], attr="event.channel"), ".value", "value_type"),
        ({"segment": 5}, ".segment", "type"),
        ({"segment": ""}, ".segment", "min_length"),
        ({"persona": "x" * 201}, ".persona", "max_length"),
        ({"consent": "marketing"}, ".consent", "type"),
        ({"consent": {"purpose": "marketing"}}, ".consent.channel", "required"),
        (
            {"consent": {"purpose": "a", "channel": "b", "basis": "c"}},
            ".consent.basis",
            "unknown_field",
        ),
        ({"event": "visit"}, ".event", "event_leaf"),
    ],
)
def test_a_mistake_is_named_with_its_path_and_rule(document: Any, path: str, rule: str) -> None:
    assert mistakes(document) == [(f"condition{path}", rule)]


@pytest.mark.parametrize(
    ("document", "path", "rule"),
    [
        ({"event": 5}, ".event", "type"),
        ({"event": "visit", "within": 30}, ".within", "type"),
        ({"event": "visit", "within": "30 days"}, ".within", "duration"),
        ({"event": "visit", "within": "P1M"}, ".within", "duration"),
        ({"event": "visit", "count": 2}, ".count", "type"),
        ({"event": "visit", "count": {}}, ".count", "type"),
        ({"event": "visit", "count": {"gte": 1, "lt": 3}}, ".count", "type"),
        ({"event": "visit", "count": {"between": [1, 2]}}, ".count", "unknown_op"),
        ({"event": "visit", "count": {"gte": True}}, ".count.gte", "number_range"),
        ({"event": "visit", "count": {"gte": -1}}, ".count.gte", "number_range"),
        ({"event": "visit", "count": {"gte": 1.5}}, ".count.gte", "number_range"),
        ({"event": "visit", "count": {"gte": 10**7}}, ".count.gte", "number_range"),
        ({"event": "visit", "where": {"segment": "vip"}}, ".where.segment", "event_where"),
        ({"event": "visit", "where": {"event": "visit"}}, ".where.event", "event_where"),
        (
            {"event": "visit", "where": {"not": leaf("eq", 1, attr="profile.age")}},
            ".where.not.attr",
            "event_where",
        ),
        ({"event": "visit", "withn": "P1D"}, ".withn", "unknown_field"),
    ],
)
def test_a_mistake_in_an_event_leaf(document: Any, path: str, rule: str) -> None:
    assert mistakes(document, allow_event_leaves=True) == [(f"condition{path}", rule)]


def test_all_mistakes_come_at_once_under_the_given_path() -> None:
    document = {
        "all": [
            {"attr": "evnt.total", "op": ">=", "value": 50},
            {"attr": "event.x", "op": "in", "value": [1, None, {}]},
            {"segmnt": "vip"},
            GOOD,
        ]
    }

    assert mistakes(document, path="trigger.where") == [
        ("trigger.where.all[0].attr", "unknown_attribute"),
        ("trigger.where.all[0].op", "unknown_op"),
        ("trigger.where.all[1].value[1]", "value_type"),
        ("trigger.where.all[1].value[2]", "value_type"),
        ("trigger.where.all[2].segmnt", "unknown_field"),
        ("trigger.where.all[2]", "one_kind"),
    ]


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({"segmnt": "vip"}, 'Did you mean "segment"?'),
        ({**GOOD, "valeu": 5}, 'Did you mean "value"?'),
        (leaf(">=", 5), 'Did you mean "gte"?'),
        (leaf("==", 5), 'Did you mean "eq"?'),
        (leaf("startsWith", "x"), 'Did you mean "starts_with"?'),
        (leaf("eq", 5, attr="profil.age"), 'Did you mean "profile.age"?'),
        (leaf("eq", 5, attr="events.a.b"), 'Did you mean "event.a.b"?'),
        (leaf("eq", 5, attr="profile.traits.age"), "profile.<trait>"),
        (leaf("contains", "vip", attr="profile.segments"), '{"segment": "<key>"}'),
        (leaf("eq", None), '"exists"'),
    ],
)
def test_a_mistake_says_what_was_meant(document: Any, hint: str) -> None:
    assert any(hint in problem.message for problem in problems(document))


def nested(depth: int) -> Any:
    document: Any = GOOD
    for _ in range(depth - 1):
        document = {"not": document}
    return document


def test_the_limit_of_depth() -> None:
    parse_condition(nested(20))

    assert mistakes(nested(21)) == [("condition" + ".not" * 20, "max_depth")]
    assert [rule for _, rule in mistakes(nested(900))] == ["max_depth"]


def test_the_limit_of_nodes() -> None:
    parse_condition({"all": [GOOD] * 199})

    assert mistakes({"all": [GOOD] * 200}) == [("condition.all[199]", "max_nodes")]
    assert mistakes({"all": [{"any": [GOOD] * 150}] * 150}) == [
        ("condition.all[1].any[47]", "max_nodes")
    ]


def test_the_limits_of_lists_and_strings_are_inclusive() -> None:
    assert parse_condition(leaf("in", list(range(1000))))
    assert parse_condition(leaf("eq", "x" * 1000))
    assert parse_condition(leaf("eq", 2**63 - 1))


def test_the_number_of_mistakes_is_bounded() -> None:
    assert len(mistakes({f"key{n}": 1 for n in range(100_000)})) == MAX_MISTAKES
    assert len(mistakes(leaf("in", [None] * 1000))) == MAX_MISTAKES


def test_a_message_shows_little_of_the_document() -> None:
    for document in (leaf("x" * 5000, 1), leaf("eq", 1, attr="x" * 199), {"y" * 5000: 1}):
        for problem in problems(document):
            assert len(problem.message) < 400
            assert len(problem.path) < 200


def test_reading_into_a_longer_list_of_problems() -> None:
    found = [Problem("key", "required", "is missing")]

    assert read_condition(GOOD, found, path="where") == Compare("event.total", "gte", 50)
    assert read_condition({}, found, path="where") is None
    assert [problem.path for problem in found] == ["key", "where"]
