"""Computed traits: what each aggregate says, for ever and in a window, and until when."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.profile.domain.assess import look_at_all, note_due
from services.profile.domain.computing import until, value_of
from services.profile.domain.definitions import Look
from services.profile.domain.instants import instant_in, instant_text
from services.profile.domain.segment import Segment
from services.profile.domain.streams import key_of_computed
from services.profile.domain.trait import ComputedTrait
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.parse import parse_condition
from tests.unit.profile.test_declared_traits import look, trait
from tests.unit.profile.world import World, touchpoint

USER = ("user_id", "u")
NOW = instant_in("2026-11-21T12:00:00.000Z")
HOUR = 3_600_000
DAY = 24 * HOUR


def computed(name: str, aggregate: str, **fields: Any) -> ComputedTrait:
    parsed = trait(name, computed={"event": "Bought", "aggregate": aggregate, **fields})
    assert isinstance(parsed, ComputedTrait)
    return parsed


def bought(number: int, hours_ago: float, **properties: Any) -> dict[str, Any]:
    return {
        **touchpoint(number, USER, type="Bought", properties=properties),
        "occurred_at": instant_text(NOW - int(hours_ago * HOUR)),
    }


def shown(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.updates()[-1]["profile"]["computed"]
    return {name: value for name, value in found.items() if name.startswith("x")}


PAST = [
    bought(1, 100, total="10.50", item="tea"),
    bought(2, 50, total=0.1, item="salt"),
    bought(3, 20, total=0.2, item="tea"),
    bought(4, 10, total="free", item=["tea"]),
    bought(5, 1, item="salt"),
]


@pytest.mark.parametrize(
    ("aggregate", "of", "within", "value"),
    [
        ("count", None, None, 5),
        ("count", None, "P2D", 3),
        ("sum", "event.total", None, "10.8"),
        ("sum", "event.total", "P3D", "0.3"),
        ("min", "event.total", None, "0.1"),
        ("max", "event.total", None, "10.5"),
        ("max", "event.total", "P3D", "0.2"),
        ("average", "event.total", None, "3.6"),
        ("average", "event.total", "P3D", "0.15"),
        ("first", "event.item", None, "tea"),
        ("first", "event.item", "P3D", "salt"),
        ("last", "event.item", None, "salt"),
        ("last", "event.item", "PT30H", "salt"),
        ("first", None, None, instant_text(NOW - 100 * HOUR)),
        ("last", None, "P9D", instant_text(NOW - HOUR)),
        ("most_frequent", "event.item", None, "salt"),
        ("most_frequent", "event.item", "PT30H", "salt"),
        ("distinct_count", "event.item", None, 2),
        ("distinct_count", "event.item", "PT15H", 1),
        ("days_since", None, None, 0),
        ("last", "event.channel", None, "web"),
    ],
)
def test_each_aggregate(aggregate: str, of: str | None, within: str | None, value: object) -> None:
    fields = {"of": of, "within": within}
    asked = computed("x", aggregate, **{k: v for k, v in fields.items() if v is not None})
    for order in (PAST, PAST[::-1]):
        world = World(look=look(asked))
        world.take_in_batches(order, 2)
        assert shown(world) == {"x": value}


def test_of_nothing_there_are_counts_and_sums_but_no_extremes() -> None:
    world = World(
        look=look(
            computed("x_count", "count"),
            computed("x_sum", "sum", of="event.total"),
            computed("x_max", "max", of="event.total"),
            computed("x_days", "days_since"),
        )
    )
    world.take(touchpoint(1, USER))
    assert shown(world) == {"x_count": 0, "x_sum": "0"}


def test_only_touchpoints_for_which_where_holds_count() -> None:
    where = {"attr": "event.item", "op": "eq", "value": "tea"}
    world = World(look=look(computed("x", "sum", of="event.total", where=where)))
    world.take(*PAST)
    assert shown(world) == {"x": "10.7"}


def test_numbers_are_exact_and_what_is_none_is_passed_over() -> None:
    world = World(look=look(computed("x", "sum", of="event.total")))
    odd = [True, None, "1e3", "x" * 300, {"a": 1}, 1e300, 10**40, "0.000000001"]
    world.take(*(bought(n, 1, total=value) for n, value in enumerate(odd)))
    assert shown(world) == {"x": "0"}
    world.take(*(bought(100 + n, 1, total=0.1) for n in range(1000)))
    assert shown(world) == {"x": "100"}


def test_past_the_limit_of_a_window_the_value_is_unknown_and_known_again_later() -> None:
    world = World(look=look(computed("x", "count", within="P1D"), computed("x_all", "count")))
    world.take(*(bought(n, n / 100) for n in range(1001)))
    assert shown(world) == {"x": None, "x_all": 1001}
    (person,) = world.active()
    profile = WorkingProfile(person, world.rules.traits)
    leaves_first = NOW - int(10 * HOUR) + DAY
    assert profile.standing.due == leaves_first
    changes = look_at_all(profile, Look(world.look.definitions, leaves_first), at="")
    assert changes[0].traits == ("computed.x",)
    assert profile.standing.computed["x"] == b"1000"


def test_past_the_limit_of_different_values_neither_is_known() -> None:
    world = World(
        look=look(
            computed("x_n", "distinct_count", of="event.item"),
            computed("x_top", "most_frequent", of="event.item"),
        )
    )
    world.take(*(bought(n, 1, item=n) for n in range(500)))
    assert shown(world)["x_n"] == 500
    world.take(bought(1000, 1, item=1000))
    assert shown(world) == {"x_n": None, "x_top": None}


def test_time_alone_changes_a_window_at_its_exact_instant_and_says_so() -> None:
    total = computed("x", "sum", of="event.total", within="P1D")
    world = World(look=look(total))
    world.take(bought(1, 20, total=1), bought(2, 10, total=2))
    (person,) = world.active()
    profile = WorkingProfile(person, world.rules.traits)
    due = profile.standing.due
    assert due == NOW - 20 * HOUR + DAY
    assert look_at_all(profile, Look(world.look.definitions, due - 1), at="") == []
    for at, value in ((due, b'"2"'), (due + 10 * HOUR, b'"0"'), (due + 30 * DAY, b'"0"')):
        look_at_all(profile, Look(world.look.definitions, at), at="")
        assert profile.standing.computed["x"] == value
    note_due(profile, Look(world.look.definitions, due + 30 * DAY))
    assert profile.standing.due is None


def test_days_since_changes_each_day() -> None:
    asked = computed("x", "days_since")
    world = World(look=look(asked))
    world.take(bought(1, 30))
    assert shown(world) == {"x": 1}
    (person,) = world.active()
    tally = WorkingProfile(person, world.rules.traits).tally(key_of_computed(asked), 1)
    assert until(asked, tally, NOW) == NOW - 30 * HOUR + 2 * DAY
    ahead = NOW - 40 * HOUR
    assert value_of(asked, tally, ahead) == b"0"
    assert until(asked, tally, ahead) == NOW - 30 * HOUR + DAY


def test_a_segment_on_a_computed_trait_enters_and_leaves() -> None:
    condition = {"attr": "profile.computed.x", "op": "gte", "value": 3}
    world = World(
        look=look(
            computed("x", "sum", of="event.total", within="P1D"),
            Segment("big", "big", parse_condition(condition)),
        )
    )
    world.take(bought(1, 20, total=1), bought(2, 10, total=2))
    assert [one["profile"]["segments"] for one in world.updates()] == [[], ["big"], ["big"]]
    (person,) = world.active()
    profile = WorkingProfile(person, world.rules.traits)
    later = Look(world.look.definitions, profile.standing.due or 0)
    changes = look_at_all(profile, later, at="")
    assert [(one.kind, one.traits or one.segment) for one in changes] == [
        ("trait_changed", ("computed.x",)),
        ("segment_left", "big"),
    ]


def test_a_merge_adds_up_and_a_snapshot_stays_sorted() -> None:
    world = World(look=look(computed("zebra", "count"), computed("abc", "count")))
    mail = ("email", "a@b.example")
    world.take(bought(1, 1), {**bought(2, 2), "identifiers": [{"type": "email", "value": mail[1]}]})
    world.take(touchpoint(3, USER, mail))
    last = world.updates()[-1]["profile"]["computed"]
    assert (last["abc"], last["zebra"]) == (2, 2)
    assert list(last) == sorted(last)
    assert msgspec.json.decode(world.messages[-1][1])["profile"]["computed"] == last


def test_a_new_trait_shares_the_stream_of_an_event_leaf() -> None:
    definitions = look(
        computed("x", "count", within="P30D"),
        computed("y", "days_since"),
        Segment("s", "s", parse_condition({"event": "Bought"}, allow_event_leaves=True)),
    ).definitions
    assert len(definitions.streams) == 1
    assert timedelta(milliseconds=DAY) == timedelta(days=1)
