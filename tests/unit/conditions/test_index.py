"""The index: same answers as asking everyone, in order, and much faster."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from shared.conditions.closure import compile_condition
from shared.conditions.facts import Facts
from shared.conditions.index import ConditionIndex, Entry
from shared.conditions.parse import parse_condition


def leaf(attr: str, op: str, value: Any) -> dict[str, Any]:
    return {"attr": attr, "op": op, "value": value}


def index(*conditions: Any, event_type: str | None = "cart") -> ConditionIndex[int]:
    return ConditionIndex(
        Entry(key, event_type, None if condition is None else parse_condition(condition))
        for key, condition in enumerate(conditions)
    )


def cart(**properties: Any) -> Facts:
    return Facts(event_type="cart", event=properties)


def test_an_empty_index_matches_nothing() -> None:
    assert ConditionIndex[int]([]).match(cart()) == []


def test_entries_of_the_type_come_first_then_those_of_any_type() -> None:
    entries = [("any", None), ("cart", "cart"), ("order", "order"), ("also any", None)]
    routed = ConditionIndex([Entry(key, event_type, None) for key, event_type in entries])

    assert routed.match(cart()) == ["cart", "any", "also any"]
    assert routed.match(Facts(event_type="other")) == ["any", "also any"]
    assert routed.match(Facts()) == ["any", "also any"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [8]),
        (4, [2, 3, 7]),
        (5, [1, 2, 4, 7]),
        ("5.0", [1, 2, 4, 7]),
        (7, [0, 1, 3, 4, 7]),
        (9, [0, 1, 3, 5, 7]),
        (True, [7]),
        ("gold", [6, 7]),
    ],
)
def test_points_ranges_and_presence(value: Any, expected: list[int]) -> None:
    routed = index(
        leaf("event.x", "gt", 5),
        leaf("event.x", "gte", 5),
        leaf("event.x", "lt", 6),
        leaf("event.x", "ne", 5),
        {"all": [leaf("event.x", "lt", 9), leaf("event.x", "between", [5, 9])]},
        {"all": [leaf("event.x", "in", [4, 9]), leaf("event.x", "nin", [4])]},
        leaf("event.x", "eq", "gold"),
        leaf("event.x", "exists", True),
        leaf("event.x", "exists", False),
    )

    assert routed.match(cart(x=value)) == expected


def test_one_attribute_asked_twice_in_one_condition() -> None:
    routed = index(
        {"all": [leaf("event.x", "in", [1, 2]), leaf("event.x", "in", [2, 3])]},
        {"all": [leaf("event.x", "gt", 1), leaf("event.x", "lte", 2)]},
        {"all": [leaf("event.x", "gt", 2), leaf("event.x", "lt", 2)]},
        {"all": [leaf("event.x", "ne", 1), leaf("event.x", "ne", 2)]},
        {"all": [leaf("event.x", "exists", True), leaf("event.x", "exists", False)]},
        {"all": [leaf("event.x", "gte", 2), leaf("event.x", "gt", 2)]},
    )

    assert routed.match(cart(x=1)) == []
    assert routed.match(cart(x=2)) == [0, 1]
    assert routed.match(cart(x=3)) == [3, 5]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        (4, [0]),
        (5, []),
        ("9", [2]),
        (9.5, [0, 1]),
        ("red wine", []),
        ("white", [2]),
        (["red", 9], [3]),
        (["white"], [2, 3]),
        ([], [2, 3]),
        (True, []),
    ],
)
def test_negated_ranges_and_parts_are_decided_without_asking(
    value: Any, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(condition: object) -> None:
        raise AssertionError(f"compiled {condition}")

    monkeypatch.setattr("shared.conditions.index.compile_normal", refuse)
    routed = index(
        {"not": leaf("event.x", "between", [5, 9])},
        {"all": [{"not": leaf("event.x", "between", [5, 9])}, leaf("event.x", "ne", 4)]},
        {"not": leaf("event.x", "contains", "red")},
        {"not": leaf("event.x", "contains", 8)},
    )

    assert routed.match(cart(x=value)) == expected


def test_an_interval_and_a_refused_one_of_one_attribute() -> None:
    refused, wanted = {"not": leaf("event.x", "between", [5, 9])}, leaf("event.x", "lt", 12)
    routed = index({"all": [refused, wanted]}, {"all": [wanted, refused]})

    assert [routed.match(cart(x=value)) for value in (4, 5, 9, 10, 12)] == [
        [0, 1],
        [],
        [],
        [0, 1],
        [],
    ]


def test_as_many_alternatives_as_become_rows_match_once_and_in_order() -> None:
    some = [
        {"any": [leaf("event.x", "gt", number) for number in range(count)]} for count in range(1, 9)
    ]
    routed = index(*some)

    assert routed.match(cart(x=-1)) == []
    assert routed.match(cart(x=1)) == list(range(8))
    assert routed.match(cart(x=7.5)) == list(range(8))


def test_the_last_alternative_alone_is_enough() -> None:
    one_of_eight = {"any": [leaf("event.x", "eq", number) for number in range(8)]}
    routed = index(one_of_eight, one_of_eight, leaf("event.x", "eq", 8))

    assert [routed.match(cart(x=number)) for number in range(10)] == [[0, 1]] * 8 + [[2], []]


def test_segments_required_and_excluded() -> None:
    routed = index(
        {"segment": "vip"},
        {"not": {"segment": "vip"}},
        {"all": [{"segment": "vip"}, {"segment": "new"}]},
        {"all": [{"segment": "vip"}, {"not": {"segment": "new"}}]},
    )

    assert routed.match(Facts(event_type="cart")) == [1]
    assert routed.match(Facts(event_type="cart", segments=["vip"])) == [0, 3]
    assert routed.match(Facts(event_type="cart", segments=["vip", "new"])) == [0, 2]


def test_alternatives_that_hold_together_match_once() -> None:
    routed = index(
        {"any": [leaf("event.x", "gt", 1), leaf("event.x", "gt", 2), leaf("event.y", "eq", 1)]},
        {"any": [leaf("event.x", "eq", 9), leaf("event.y", "contains", "a")]},
        {"any": [leaf("event.x", "eq", number) for number in range(50)]},
    )

    assert routed.match(cart(x=3, y=1)) == [0, 2]
    assert routed.match(cart(x=9, y="ab")) == [0, 1, 2]
    assert routed.match(cart(y="b")) == []


class Rules:
    """Random rules and events in the proportions of a busy shop, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.types = [f"type{number}" for number in range(20)]
        self.weights = [1 / (place + 1) for place in range(20)]

    def event_type(self) -> str:
        return self.random.choices(self.types, self.weights)[0]

    def comparison(self) -> dict[str, Any]:
        pick = self.random
        choices: list[Callable[[], dict[str, Any]]] = [
            lambda: leaf("event.category", "eq", f"c{pick.randrange(20)}"),
            lambda: leaf("profile.city", "in", [f"city{pick.randrange(30)}" for _ in range(6)]),
            lambda: leaf("event.total", "gte", pick.randrange(200)),
            lambda: leaf("event.total", "lt", pick.randrange(50, 400)),
            lambda: leaf("profile.computed.orders", "gt", pick.randrange(20)),
            lambda: leaf("profile.age", "between", sorted(pick.sample(range(18, 90), 2))),
            lambda: leaf("event.coupon", "exists", pick.random() < 0.5),
            lambda: leaf("event.channel", "ne", pick.choice(["web", "app", "pos"])),
            lambda: {"segment": pick.choice(["vip", "new"])},
        ]
        return pick.choice(choices)()

    def condition(self, *, tricky: bool) -> dict[str, Any]:
        parts = [self.comparison() for _ in range(self.random.randrange(1, 7))]
        if tricky and self.random.random() < 0.3:
            parts.append({"any": [self.comparison(), leaf("event.title", "contains", "sale")]})
        return {"all": parts}

    def entries(self, count: int, *, tricky: bool) -> list[Entry[int]]:
        return [
            Entry(key, self.event_type(), parse_condition(self.condition(tricky=tricky)))
            for key in range(count)
        ]

    def facts(self) -> Facts:
        pick = self.random
        event: dict[str, object] = {
            "category": f"c{pick.randrange(20)}",
            "total": pick.choice([round(pick.random() * 300, 2), str(pick.randrange(300)), None]),
            "title": pick.choice(["summer sale", "news"]),
        }
        if pick.random() < 0.5:
            event["coupon"] = "X"
        return Facts(
            profile={"city": f"city{pick.randrange(30)}", "age": pick.randrange(18, 90)},
            computed={"orders": pick.randrange(20)},
            event=event,
            event_type=self.event_type(),
            event_channel=pick.choice(["web", "app", "pos"]),
            segments=frozenset(pick.sample(["vip", "new", "lapsed"], pick.randrange(3))),
        )


@pytest.mark.parametrize("tricky", [False, True])
def test_two_thousand_rules_route_as_asking_each_of_them(tricky: bool) -> None:
    rules = Rules(seed=7)
    entries = rules.entries(2_000, tricky=tricky)
    routed = ConditionIndex(entries)
    asked = [
        (entry.key, entry.event_type, compile_condition(entry.condition))
        for entry in entries
        if entry.condition is not None
    ]
    matches = 0

    for _ in range(400):
        facts = rules.facts()
        expected = [key for key, name, holds in asked if name == facts.event_type and holds(facts)]
        assert routed.match(facts) == expected
        matches += len(expected)

    assert matches > 1_000  # the comparison would be worth little if nothing ever matched


def test_plain_conjunctions_are_decided_without_asking_any_condition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = Rules(seed=11)
    documents = [rules.condition(tricky=False) for _ in range(300)]
    plain = [document for document in documents if not _asks_one_thing_twice(document)]

    def refuse(condition: object) -> None:
        raise AssertionError(f"compiled {condition}")

    monkeypatch.setattr("shared.conditions.index.compile_normal", refuse)

    assert len(plain) > 100
    index(*plain)
    with pytest.raises(AssertionError, match="compiled"):
        index(leaf("event.x", "starts_with", "a"))


def _asks_one_thing_twice(document: dict[str, Any]) -> bool:
    names = [part.get("attr", "segment") for part in document["all"]]
    return len(names) != len(set(names))


def test_routing_is_much_faster_than_asking_each_condition_of_the_type() -> None:
    rules = Rules(seed=3)
    entries = rules.entries(4_000, tricky=False)
    routed = ConditionIndex(entries)
    asked: dict[str | None, list[Callable[[Facts], bool]]] = {}
    for entry in entries:
        if entry.condition is not None:
            asked.setdefault(entry.event_type, []).append(compile_condition(entry.condition))
    events = [rules.facts() for _ in range(100)]

    by_index = _seconds(lambda: [routed.match(facts) for facts in events])
    one_by_one = _seconds(
        lambda: [[holds(facts) for holds in asked[facts.event_type]] for facts in events]
    )

    assert one_by_one > 5 * by_index


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three, so that a busy machine does not count."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)
