"""Which schema an event is held against, and what comes of breaking it."""

from typing import Any

import pytest

from services.ingest.domain.event_schema import compile_schema
from services.ingest.domain.tracking_plan import TrackingPlan, plan_of
from shared.contracts.dead_letter import REASONS
from shared.errors import InvalidData
from tests.unit.ingest.reading import NATIVE, read

TYPE = "Order Completed"
NUMBER = {"required": ["total"], "properties": {"total": {"type": "number"}}}
TEXT = {"properties": {"total": {"type": "string"}}}


def plan(*, pinned: bool = False) -> TrackingPlan:
    old, new = compile_schema(TYPE, 1, TEXT), compile_schema(TYPE, 2, NUMBER)
    return plan_of([(old, False, pinned), (new, True, pinned)])


def event(total: Any, **fields: Any) -> dict[str, Any]:
    return {**NATIVE, "properties": {"total": total}, **fields}


@pytest.mark.parametrize("tracking", ["warn", "reject"])
def test_an_event_that_keeps_its_schema_says_which(tracking: Any) -> None:
    touchpoint = read(event(1))
    context = touchpoint.context
    plan().hold(touchpoint, tracking)
    assert touchpoint.schema == "Order Completed/2"
    assert touchpoint.context is context


def test_warn_notes_it_and_goes_on() -> None:
    touchpoint = read(event("1", context={"locale": "fr"}, odd=True))
    plan().hold(touchpoint, "warn")
    assert touchpoint.schema == "Order Completed/2"
    assert touchpoint.context["locale"] == "fr"
    own = touchpoint.context["concert"]
    assert own["extra"] == {"odd": True}, "what was noted before stays"
    (error,) = own["schema_errors"]
    assert (error["path"], error["rule"]) == ("properties.total", "type")
    assert error["message"]


def test_reject_names_path_rule_and_version() -> None:
    with pytest.raises(InvalidData) as refused:
        plan().hold(read({**NATIVE, "properties": {}}), "reject")
    assert refused.value.reason == "schema"
    assert refused.value.reason in REASONS
    assert refused.value.path == "properties.total"
    assert "required of Order Completed/2" in refused.value.detail


def test_a_type_without_schema_is_left_alone() -> None:
    touchpoint = read(event("x", type="Seen", schema="mine/1"))
    plan().hold(touchpoint, "reject")
    assert touchpoint.schema == "mine/1"


def test_pinned_events_choose_a_published_version() -> None:
    stated = read(event("text", schema="Order Completed/1"))
    plan(pinned=True).hold(stated, "reject")
    assert stated.schema == "Order Completed/1"
    with pytest.raises(InvalidData):
        plan(pinned=False).hold(read(event("text", schema="Order Completed/1")), "reject")
    with pytest.raises(InvalidData):
        plan(pinned=True).hold(read(event("text", schema="Order Completed/9")), "reject")


def test_a_label_of_another_type_chooses_nothing() -> None:
    a, b = compile_schema("a", 1, {}), compile_schema("b", 1, NUMBER)
    with pytest.raises(InvalidData):
        plan_of([(a, True, True), (b, True, True)]).hold(
            read(event("x", type="b", schema="a/1")), "reject"
        )


def test_what_concert_noted_is_no_part_of_the_context() -> None:
    closed = {"context": {"properties": {"locale": {}}, "additionalProperties": False}}
    touchpoint = read(event(1, context={"locale": "fr"}, odd=True))
    plan_of([(compile_schema(TYPE, 1, closed), True, False)]).hold(touchpoint, "reject")
    assert touchpoint.schema == "Order Completed/1"
