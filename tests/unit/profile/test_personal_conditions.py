"""Who sees personal data masked cannot find it out by counting."""

from typing import Any

import pytest

from services.profile.domain.trait import DeclaredTrait, TraitsInForce
from shared.conditions.parse import parse_condition
from shared.errors import Unprocessable
from shared.observability.hidden import refuse_personal

REGISTRY = TraitsInForce.of(
    [
        DeclaredTrait("diagnosis", "diagnosis", "string", pii="sensitive"),
        DeclaredTrait("city", "city", "string", pii="none"),
    ]
)


def asks(attr: str) -> dict[str, Any]:
    return {"attr": attr, "op": "starts_with", "value": "g"}


def judge(condition: dict[str, Any]) -> None:
    parsed = parse_condition(condition, allow_event_leaves=True)
    refuse_personal([("condition", parsed)], REGISTRY.class_of_attribute)


@pytest.mark.parametrize(
    "condition",
    [
        asks("profile.email"),
        asks("profile.last_name"),
        asks("profile.diagnosis"),
        asks("household.street"),
        {"not": {"any": [asks("profile.shoe"), asks("profile.phone")]}},
        {"event": "Signed Up", "where": asks("event.email"), "within": "P30D"},
    ],
)
def test_what_masking_hides_is_not_counted_by(condition: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable, match="hidden from you"):
        judge(condition)


@pytest.mark.parametrize(
    "condition",
    [
        asks("profile.favourite_category"),
        asks("profile.city"),
        {"attr": "household.size", "op": "gte", "value": 2},
        {"attr": "profile.computed.orders", "op": "gte", "value": 2},
        {"event": "Order Completed", "where": asks("event.item"), "within": "P30D"},
    ],
)
def test_what_everybody_sees_is(condition: dict[str, Any]) -> None:
    judge(condition)
