"""The JSON form of a journey: what is taken, and every mistake with its path."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.domain.journeys.document import conditions_of, parse_journey
from services.orchestrator.domain.journeys.journey import Awaited, Awaiting, Split
from shared.conditions.mistakes import MAX_MISTAKES
from shared.errors import Unprocessable
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

FULL: dict[str, Any] = {
    "key": "first-purchase",
    "version": 3,
    "status": "published",
    "name": "First purchase",
    "version_policy": "follow_live",
    "removed_nodes": "exit",
    "category": "marketing",
    "topic": "promotions",
    "group": "welcome",
    "priority": 60,
    "score": {"value": 18.0},
    "entry": {
        "type": "event",
        "event": "order.placed",
        "where": {"attr": "profile.orders", "op": "eq", "value": 1},
        "rate": {"limit": 100, "per": "PT1M"},
    },
    "re_entry": {"mode": "always", "key": "event.order_id"},
    "holdout": {"percent": 10},
    "max_duration": "P45D",
    "exit_criteria": [
        {"event": "order.returned", "key": "event.order_id"},
        {"segment": "do-not-contact"},
        {"event": "order.placed", "count": {"gte": 3}, "within": "P30D"},
    ],
    "goal": {
        "event": "order.placed",
        "where": {"attr": "event.total", "op": "gt", "value": 10},
        "within": "P30D",
        "attribution": "first_touch",
    },
    "calendars": {"fr": {"holidays": ["2026-12-25"], "from": "09:00", "to": "18:00",
                         "zone": "Europe/Paris"}},
    "nodes": [
        {"id": "hold", "type": "split", "mode": "random", "salt": "fp",
         "branches": [{"percent": 90, "next": "thank"}, {"percent": 10, "next": "end"}]},
        mail("thank", "w1", on_failure="continue"),
        wait("w1", "tier", until={"event": "email.clicked"}, timeout="P3D", timeout_next="call"),
        {"id": "tier", "type": "branch", "else": "w2",
         "cases": [{"when": {"attr": "profile.tier", "op": "in", "value": ["gold"]},
                    "next": "store"}]},
        mail("store", type="task", channel="clienteling", queue="store:{{profile.home_store}}",
             expires_in="P7D", replaces=["shop"]),
        mail("call", "w2", type="task", channel="call_centre",
             outcomes={"accepted": "end", "declined": "w2"}),
        wait("w2", "day", local_time="10:00", weekdays=[1, 2, 3, 4, 5]),
        wait("day", "work", date_attr="profile.birthday", offset="-P7D", local_time="09:00",
             annual=True, missing_next="work"),
        wait("work", "line", business_days=2, calendar="fr"),
        {"id": "line", "type": "throttle", "limit": 10, "per": "PT1S", "next": "x"},
        {"id": "x", "type": "experiment", "salt": "x",
         "arms": [{"key": "a", "percent": 33.34, "next": "upd"},
                  {"key": "b", "percent": 66.66, "next": "jump"}]},
        {"id": "upd", "type": "update_profile", "set": {"onboarded": True}, "next": "jump"},
        {"id": "jump", "type": "enter_journey", "journey": "replenish", "next": "say"},
        {"id": "say", "type": "emit_event", "event": "Onboarded", "next": "end"},
        end(),
    ],
}  # fmt: skip


def mistakes(document: object) -> list[tuple[str, str]]:
    with pytest.raises(Unprocessable) as refused:
        parse_journey(document, key="first-purchase", version=1)
    return [(problem.path, problem.rule) for problem in refused.value.problems]


def mistakes_of(*nodes: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    return mistakes(document(*nodes, **fields))


def test_a_full_journey_is_taken_as_it_is_written() -> None:
    journey = parse_journey(FULL, key="first-purchase", version=3)
    assert journey.first == "hold"
    assert list(journey.nodes) == [node["id"] for node in FULL["nodes"]]
    assert journey.nodes["w1"].leads == {"next": "tier", "timeout": "call"}
    assert journey.exit_criteria[0] == Awaited("order.returned", None, "event.order_id")
    does = journey.nodes["w1"].does
    assert isinstance(does, Awaiting)
    assert isinstance(does.what, Awaited)
    split = journey.nodes["hold"].does
    assert isinstance(split, Split)
    assert [arm.key for arm in split.arms] == ["0", "1"]
    assert journey.stands_for("shop") == "store"
    assert {path for path, _ in conditions_of(journey)} == {
        "entry.where", "exit_criteria[1]", "exit_criteria[2]", "nodes[3].cases[0].when",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ([mail("a", "b")], [("nodes[0].next", "unknown_node")]),
        ([mail("a", "end"), mail("b", "end"), end()], [("nodes[1]", "unreachable")]),
        ([mail("a"), end(), end()], [("nodes[2].id", "unique")]),
        ([mail("a", replaces=["end"]), end()], [("nodes[0].replaces[0]", "still_there")]),
        ([wait("a"), end()], [("nodes[0]", "one_of")]),
        ([wait("a", until={"event": "e"}), end()], [("nodes[0].timeout", "required")]),
        ([wait("a", duration="P400D"), end()], [("nodes[0].duration", "duration")]),
        ([wait("a", duration="P1M"), end()], [("nodes[0].duration", "duration")]),
        ([wait("a", duration="P1D", timeout="P1D"), end()], [("nodes[0].timeout", "wait_form")]),
        ([wait("a", weekdays=[1], duration="P1D"), end()], [("nodes[0].weekdays", "required")]),
        ([wait("a", local_time="25:00"), end()], [("nodes[0].local_time", "clock")]),
        ([wait("a", local_time="09:00", month_day=32), end()],
         [("nodes[0].month_day", "number_range")]),
        ([wait("a", date_attr="profile.x"), end()],
         [("nodes[0].local_time", "required")]),
        ([wait("a", date_attr="profile.x", local_time="09:00", offset="PT3H"), end()],
         [("nodes[0].offset", "duration")]),
        ([wait("a", business_days=1, calendar="de"), end()],
         [("nodes[0].calendar", "unknown_calendar")]),
        ([mail("a", outcomes={"reached": "end"}), end()],
         [("nodes[0].outcomes.reached", "choice")]),
        ([{"id": "a", "type": "experiment", "salt": "s", "winner": "c",
           "arms": [{"key": "b", "percent": 50, "next": "end"},
                    {"key": "b", "percent": 49, "next": "end"}]}, end()],
         [("nodes[0].arms[1].key", "unique"), ("nodes[0].arms", "percent_sum"),
          ("nodes[0].winner", "unknown_arm")]),
        ([{"id": "a", "type": "update_profile", "set": {}, "next": "end"}, end()],
         [("nodes[0].set", "type")]),
        ([{"id": "a", "type": "throttle", "next": "end"}, end()],
         [("nodes[0].limit", "required"), ("nodes[0].per", "required")]),
        ([{"id": "a", "type": "enter_journey", "journey": "first-purchase", "next": "end"}, end()],
         [("nodes[0].journey", "own_entry")]),
        ([{"id": "a", "type": "emit_event", "event": "concert.journey", "next": "end"}, end()],
         [("nodes[0].event", "reserved")]),
        ([{"id": "a", "type": "emit_event", "event": "Cart Updated", "next": "end"}, end()],
         [("nodes[0].event", "own_entry")]),
        ([{"id": "a", "type": "loop"}], [("nodes[0].type", "choice")]),
        ([], [("nodes", "min_items")]),
    ],
)  # fmt: skip
def test_each_mistake_has_its_path(
    nodes: list[dict[str, Any]], found: list[tuple[str, str]]
) -> None:
    assert mistakes_of(*nodes) == found


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("entry", None, ("entry", "required")),
        ("max_duration", "P9999D", ("max_duration", "duration")),
        ("version_policy", "both", ("version_policy", "choice")),
        ("goal", {"within": "P1D"}, ("goal.event", "required")),
        ("goal", {"event": "e", "key": "event.id"}, ("goal.key", "required")),
        ("exit_criteria", [{"event": "e", "key": "profile.id"}],
         ("exit_criteria[0].key", "attribute")),
        ("actions", [], ("actions", "not_available")),
        ("calendars", {"a": {"holidays": ["Christmas"]}}, ("calendars.a.holidays[0]", "date")),
        ("calendars", {"a": {"from": "18:00", "to": "09:00"}},
         ("calendars.a.to", "time_order")),
        ("calendars", {"a": {"zone": "Paris"}}, ("calendars.a.zone", "zone")),
        ("nodes", [mail(f"n{number}") for number in range(201)], ("nodes", "max_items")),
    ],
)  # fmt: skip
def test_each_mistake_of_the_whole_has_its_path(
    field: str, value: object, found: tuple[str, str]
) -> None:
    whole = {**document(mail("a"), end()), field: value}
    assert found in mistakes(whole)


CIRCLES: list[tuple[list[dict[str, Any]], bool]] = [
    ([mail("a", "a")], False),
    ([mail("a", "b"), mail("b", "a")], False),
    ([mail("a", "w"), wait("w", "a", duration="PT30S")], False),
    ([mail("a", "w"), wait("w", "a", duration="PT1M")], True),
    ([mail("a", "w"), wait("w", "a", local_time="10:00")], True),
    ([mail("a", "w"), wait("w", "a", until={"event": "e"}, timeout="PT1M")], True),
    ([mail("a", "w"), wait("w", "a", until={"segment": "s"}, timeout="P1D")], False),
    ([mail("a", "w"), wait("w", "a", date_attr="profile.d", local_time="09:00")], False),
    ([mail("a", "w"), wait("w", "a", date_attr="profile.d", local_time="09:00", annual=True)],
     True),
    ([mail("a", "end", outcomes={"no_consent": "a"}), end()], False),
    ([mail("a", "t"), {"id": "t", "type": "throttle", "limit": 1, "per": "P1D", "next": "a"}],
     False),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "fine"), CIRCLES)
def test_a_circle_needs_a_wait_that_takes_time(nodes: list[dict[str, Any]], fine: bool) -> None:
    """Laudspeaker #94 asks for loops; a loop without a wait would spin for ever."""
    if fine:
        parse_journey(document(*nodes), key="k", version=1)
    else:
        assert "endless" in {rule for _, rule in mistakes_of(*nodes)}


def test_the_example_of_the_page_is_a_journey() -> None:
    page = (Path(__file__).parents[4] / "docs/journeys.md").read_text()
    found = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert found is not None
    assert parse_journey(json.loads(found[1]), key="first-purchase", version=1).first == "thank"


def test_no_document_breaks_the_reader() -> None:
    odds: tuple[Any, ...] = (
        None, [], 7, "x", {"nodes": 7}, {"nodes": [None, 7, {}, {"type": []}]},
        {"entry": 7, "nodes": [{"type": "wait", "until": []}]},
    )  # fmt: skip
    for odd in odds:
        assert mistakes(odd)
    many = [mail("A B", "?", bad=1) for _ in range(200)]
    assert len(mistakes_of(*many)) == MAX_MISTAKES
