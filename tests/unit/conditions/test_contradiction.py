"""Which conditions hold for nobody, and in which words that is said."""

from typing import Any

import pytest

from shared.conditions.contradiction import contradiction
from shared.conditions.parse import parse_condition


def said(document: Any) -> str | None:
    return contradiction(parse_condition(document, allow_event_leaves=True))


def asks(op: str, value: Any, attr: str = "profile.a") -> dict[str, Any]:
    return {"attr": attr, "op": op, "value": value}


def visits(op: str, bound: int) -> dict[str, Any]:
    return {"event": "visit", "count": {op: bound}}


VIP, LOYAL = {"segment": "vip"}, {"persona": "loyal"}
GRANTED = {"consent": {"purpose": "marketing", "channel": "email"}}


@pytest.mark.parametrize(
    "parts",
    [
        [asks("eq", "a"), asks("eq", "b")],
        [asks("eq", 5), asks("gt", 5)],
        [asks("gt", 5), asks("lt", 3)],
        [asks("gt", 5), asks("lte", 5)],
        [asks("between", [1, 2]), asks("between", [3, 4])],
        [asks("in", ["a", "b"]), asks("nin", ["b", "a"])],
        [asks("in", ["a", "b"]), asks("ne", "a"), asks("ne", "b")],
        [asks("eq", "gold"), asks("starts_with", "s")],
        [asks("gte", "2026-11-21T10:00:00Z"), asks("lt", "2026-11-21T11:00:00+01:00")],
        [asks("exists", False), asks("eq", 1)],
        [asks("exists", False), asks("exists", True)],
        [VIP, {"not": VIP}],
        [LOYAL, {"persona": "hunter"}],
        [LOYAL, {"not": LOYAL}],
        [GRANTED, {"not": GRANTED}],
        [visits("gte", 3), visits("lt", 3)],
        [visits("eq", 0), {"event": "visit"}],
        [asks("eq", "a"), {"any": [asks("eq", "b"), asks("eq", "c")]}],
        [asks("eq", "a"), {"not": {"any": [asks("eq", "a"), asks("eq", "b")]}}],
        [{"all": [asks("eq", "a")]}, {"all": [{"not": asks("eq", "a")}]}],
    ],
)
def test_parts_that_never_hold_together_are_found_in_any_order(parts: list[Any]) -> None:
    assert said({"all": parts}) is not None
    assert said({"all": parts[::-1]}) is not None
    assert said({"any": [{"all": parts}, {"all": parts}]}) is not None
    assert said({"any": [{"all": parts}, VIP]}) is None


@pytest.mark.parametrize(
    "parts",
    [
        [asks("eq", "a"), asks("eq", "b", "profile.b")],
        [asks("eq", 5), asks("eq", "5")],
        [asks("gte", 5), asks("lte", 5)],
        [asks("contains", "a"), asks("contains", "b")],
        [asks("eq", "2026-11-21T10:00:00Z"), asks("starts_with", "2026-11-21T11:00:00+01:00")],
        [visits("gte", 1), visits("lt", 3)],
        [visits("gte", 3), {"event": "visit", "count": {"lt": 3}, "within": "P1D"}],
        [{"persona": "loyal"}, {"not": {"persona": "hunter"}}],
    ],
)
def test_what_may_hold_together_is_let_alone(parts: list[Any]) -> None:
    assert said({"all": parts}) is None


def test_the_reason_names_both() -> None:
    reason = said({"all": [asks("gt", 5), VIP, asks("lt", 3)]})
    assert reason is not None
    assert reason.startswith("never both the profile's a is greater than 5 and ")
    assert reason.endswith(" less than 3")
