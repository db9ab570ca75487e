"""What each operator says about a value: true, false (its negation is true) or unknown."""

from typing import Any

import pytest

from shared.conditions.closure import compile_condition
from shared.conditions.facts import Facts
from shared.conditions.parse import parse_condition

MISSING: Any = None


def truth(leaf: dict[str, Any], facts: Facts) -> bool | None:
    """The truth of a leaf, told apart by asking for it and for its negation."""
    holds = compile_condition(parse_condition(leaf))(facts)
    denied = compile_condition(parse_condition({"not": leaf}))(facts)
    assert not (holds and denied)
    return True if holds else False if denied else None


def of_value(value: Any, op: str, operand: Any) -> bool | None:
    return truth({"attr": "event.x", "op": op, "value": operand}, Facts(event={"x": value}))


@pytest.mark.parametrize(
    ("value", "op", "operand", "expected"),
    [
        # numbers
        (5, "eq", 5, True),
        (5, "eq", 5.0, True),
        ("5", "eq", 5, True),
        ("159.90", "eq", 159.9, True),
        ("159.90", "gte", 159.91, False),
        (0.1, "eq", 0.1, True),
        (2**53 + 1, "eq", 2**53, False),
        (str(2**53 + 1), "eq", 2**53 + 1, True),
        (-1, "lt", 0, True),
        (5, "ne", 6, True),
        (5, "ne", 5, False),
        (5, "gt", 5, False),
        (5, "gte", 5, True),
        (5, "lt", 5, False),
        (5, "lte", 5, True),
        ("007", "eq", 7, None),
        ("1e3", "eq", 1000, None),
        (" 5", "eq", 5, None),
        ("5.", "eq", 5, None),
        ("٥", "eq", 5, None),
        ("1" * 41, "gt", 0, None),
        (True, "eq", 1, None),
        (False, "ne", 1, None),
        ([5], "eq", 5, None),
        ({}, "ne", 5, None),
        (float("nan"), "ne", 5, None),
        (float("inf"), "gt", 5, None),
        (MISSING, "eq", 5, None),
        (MISSING, "ne", 5, None),
        # strings
        ("gold", "eq", "gold", True),
        ("Gold", "eq", "gold", False),
        ("", "eq", "", True),
        (5, "eq", "5", None),
        ("10", "lt", "9", True),
        ("Z", "lt", "a", True),
        ("é", "gt", "z", True),
        ("2026-11-20", "lt", "2026-11-21", True),
        # times
        ("2026-11-21T11:00:00+01:00", "eq", "2026-11-21T10:00:00Z", True),
        ("2026-11-21t10:00:00.0z", "eq", "2026-11-21T10:00:00Z", True),
        ("2026-11-21T10:00:00.000001Z", "gt", "2026-11-21T10:00:00Z", True),
        ("2026-11-21T10:00:00.0000001Z", "gt", "2026-11-21T10:00:00Z", False),
        ("2026-11-21T10:30:00Z", "lt", "2026-11-21T11:00:00+01:00", False),
        ("2026-11-21T10:00:00", "lt", "2026-11-21T10:00:00Z", None),
        ("2026-02-30T10:00:00Z", "ne", "2026-11-21T10:00:00Z", None),
        ("2026-11-20", "lt", "2026-11-21T10:00:00Z", None),
        ("2026-11-21T10:00:00Z", "gt", "2026-11-21", True),
        # booleans
        (True, "eq", True, True),
        (False, "eq", True, False),
        (1, "eq", True, None),
        ("true", "eq", True, None),
        # lists of choices
        ("gold", "in", ["gold", "silver"], True),
        ("iron", "in", ["gold", "silver"], False),
        ("iron", "nin", ["gold", "silver"], True),
        ("gold", "nin", ["gold", "silver"], False),
        (5, "in", ["gold"], None),
        (5, "nin", ["gold"], None),
        (MISSING, "nin", ["gold"], None),
        ("5.0", "in", [1, 5], True),
        (True, "in", [1, 5], None),
        (True, "in", [True], True),
        ("2026-11-21T11:00:00+01:00", "in", ["2026-11-21T10:00:00Z"], True),
        ("2026-11-21T11:00:00+01:00", "in", ["2026-11-21T10:00:00Z", "never"], False),
        ("never", "in", ["2026-11-21T10:00:00Z", "never"], True),
        # intervals
        (5, "between", [5, 10], True),
        (10, "between", [5, 10], True),
        ("10.01", "between", [5, 10], False),
        ("m", "between", ["a", "n"], True),
        ("2026-11-21T10:00:00Z", "between", ["2026-11-21T10:30:00+01:00"] * 2, False),
        ("2026-11-21T09:30:00Z", "between", ["2026-11-21T10:30:00+01:00"] * 2, True),
        (MISSING, "between", [5, 10], None),
        ("m", "between", [5, 10], None),
        # parts
        (["a", "b"], "contains", "b", True),
        (["a", "b"], "contains", "c", False),
        ([], "contains", "c", False),
        ([None, {}, "5.0"], "contains", 5, True),
        ([True], "contains", 1, False),
        ("summer sale", "contains", "sale", True),
        ("summer", "contains", "sale", False),
        ("155", "contains", 5, None),
        ({"a": 1}, "contains", "a", None),
        (MISSING, "contains", "a", None),
        ("FR-75", "starts_with", "FR", True),
        ("DE-10", "starts_with", "FR", False),
        (["FR"], "starts_with", "FR", None),
        # presence
        ("", "exists", True, True),
        (0, "exists", True, True),
        (False, "exists", False, False),
        (MISSING, "exists", True, False),
        (MISSING, "exists", False, True),
    ],
)
def test_a_comparison(value: Any, op: str, operand: Any, expected: bool | None) -> None:
    assert of_value(value, op, operand) is expected


@pytest.mark.parametrize(
    ("attr", "expected"),
    [
        ("profile.tier", "gold"),
        ("profile.address.city", "Paris"),
        ("profile.computed.orders", 3),
        ("profile.computed.revenue.EUR", "159.90"),
        ("event.total", 12),
        ("event.address.city", "Lyon"),
        ("event.type", "Order Completed"),
        ("event.channel", "web"),
        ("event.source", "shop"),
        ("context.locale", "fr-FR"),
        ("context.page.path", "/"),
    ],
)
def test_an_attribute_is_found_where_its_name_says(attr: str, expected: Any) -> None:
    facts = Facts(
        profile={"tier": "gold", "address": {"city": "Paris"}, "computed": "hidden"},
        computed={"orders": 3, "revenue": {"EUR": "159.90"}},
        event={"total": 12, "address": {"city": "Lyon"}, "type": "hidden"},
        event_type="Order Completed",
        event_channel="web",
        event_source="shop",
        context={"locale": "fr-FR", "page": {"path": "/"}},
    )

    assert truth({"attr": attr, "op": "eq", "value": expected}, facts) is True
    assert truth({"attr": attr, "op": "exists", "value": True}, Facts()) is False


@pytest.mark.parametrize(
    "attr", ["event.items.0", "event.items.sku", "event.total.x", "event.none.x", "event.null.x"]
)
def test_a_step_into_anything_but_an_object_finds_nothing(attr: str) -> None:
    facts = Facts(event={"items": [{"sku": 1}], "total": 12, "null": None})

    assert truth({"attr": attr, "op": "exists", "value": True}, facts) is False


@pytest.mark.parametrize(
    ("changed", "now", "expected"),
    [
        ({}, "gold", False),
        ({"tier": "silver"}, "gold", True),
        ({"tier": None}, "gold", True),
        ({"tier": "gold"}, "gold", False),
        ({"tier": "silver"}, "iron", False),
        ({"tier": "silver"}, None, None),
        ({"tier": "silver"}, 5, None),
        ({"other": "silver"}, "gold", False),
    ],
)
def test_changed_to(changed: dict[str, Any], now: Any, expected: bool | None) -> None:
    leaf = {"attr": "profile.tier", "op": "changed_to", "value": "gold"}

    assert truth(leaf, Facts(profile={"tier": now}, changed=changed)) is expected


def test_changed_to_looks_inside_an_object_and_at_computed_traits() -> None:
    nested = {"attr": "profile.address.city", "op": "changed_to", "value": "Paris"}
    moved = Facts(profile={"address": {"city": "Paris"}}, changed={"address": {"city": "Lyon"}})
    same_city = Facts(
        profile={"address": {"city": "Paris"}}, changed={"address": {"city": "Paris"}}
    )
    computed = {"attr": "profile.computed.orders", "op": "changed_to", "value": 1}
    first_order = Facts(computed={"orders": 1}, changed={"computed.orders": None})

    assert truth(nested, moved) is True
    assert truth(nested, same_city) is False
    assert truth(computed, first_order) is True


def test_segments_are_known_and_personas_only_when_there_is_one() -> None:
    vip = Facts(segments=["vip"], persona="hunter")

    assert truth({"segment": "vip"}, vip) is True
    assert truth({"segment": "new"}, vip) is False
    assert truth({"segment": "vip"}, Facts()) is False
    assert truth({"persona": "hunter"}, vip) is True
    assert truth({"persona": "loyal"}, vip) is False
    assert truth({"persona": "hunter"}, Facts()) is None


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        ({("marketing", "email"): "granted"}, True),
        ({("marketing", "email"): "denied"}, False),
        ({("marketing", "sms"): "granted"}, False),
        ({("service", "email"): "granted"}, False),
        ({}, False),
    ],
)
def test_consent_is_what_is_on_record(consents: dict[tuple[str, str], str], expected: bool) -> None:
    leaf = {"consent": {"purpose": "marketing", "channel": "email"}}

    assert truth(leaf, Facts(consents=consents)) is expected


T: dict[str, Any] = {"attr": "event.t", "op": "eq", "value": 1}
F: dict[str, Any] = {"attr": "event.t", "op": "eq", "value": 2}
U: dict[str, Any] = {"attr": "event.u", "op": "eq", "value": 1}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"all": [T]}, True),
        ({"all": [T, T, T]}, True),
        ({"all": [T, F]}, False),
        ({"all": [T, U]}, None),
        ({"all": [U, F]}, False),
        ({"all": [U, T, F]}, False),
        ({"any": [F]}, False),
        ({"any": [F, F, T]}, True),
        ({"any": [F, U]}, None),
        ({"any": [U, T]}, True),
        ({"any": [U, F, U]}, None),
        ({"not": T}, False),
        ({"not": F}, True),
        ({"not": U}, None),
        ({"not": {"not": T}}, True),
        ({"not": {"all": [U, F]}}, True),
        ({"not": {"any": [U, F]}}, None),
        ({"not": {"any": [F, {"not": T}]}}, True),
    ],
)
def test_three_valued_logic(node: dict[str, Any], expected: bool | None) -> None:
    assert truth(node, Facts(event={"t": 1})) is expected
