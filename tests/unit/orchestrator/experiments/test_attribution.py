"""Goals, exposures and touches: what comes after what, and who gets the credit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.orchestrator.domain.experiments.attribution import (
    GOAL_FIELDS,
    Conversion,
    Credit,
    Goal,
    Model,
    Touch,
    counts,
    credited,
    credits_by_key,
    read_goal,
)
from services.orchestrator.domain.experiments.exposure import Exposure, Place, first
from shared.conditions.document import Fields
from shared.conditions.mistakes import Mistakes
from shared.conditions.tree import Compare

AT = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SEEN = Exposure("cart-test", "p", "push", 1, AT, 5, 1, Place("rule", "cart-abandon"))


def bought(seq: int, days: float, value: float = 10.0) -> Conversion:
    return Conversion(f"t{seq}", seq, AT + days * DAY, value)


def touch(key: str, seq: int, days: float) -> Touch:
    return Touch(f"a{seq}", key, seq, AT + days * DAY)


@pytest.mark.parametrize(
    ("seq", "days", "counted"),
    [
        (6, 0.0, True),
        (6, 13.9, True),
        (6, 14.0, False),
        (5, 1.0, False),  # the update that caused it
        (4, 1.0, False),  # came before, though its clock says later
        (6, -0.1, False),  # came late, happened before
    ],
)
def test_after_goes_by_number_and_how_long_after_by_time(
    seq: int, days: float, counted: bool
) -> None:
    assert counts(bought(seq, days), seq=5, at=AT, within=14 * DAY) is counted


TOUCHES = [touch("mail", 1, 0), touch("push", 3, 2), touch("call", 5, 4), touch("late", 9, 20)]


@pytest.mark.parametrize(
    ("model", "days", "key"),
    [
        ("last_touch", 5, "call"),
        ("first_touch", 5, "mail"),
        ("last_touch", 3, "push"),
        ("first_touch", 8, "push"),
        ("last_touch", 12, None),
    ],
)
def test_the_last_or_the_first_touch_has_the_credit(
    model: Model, days: float, key: str | None
) -> None:
    conversion = Conversion("t", 7, AT + days * DAY)
    for touches in (TOUCHES, TOUCHES[::-1]):
        found = credited(conversion, touches, within=7 * DAY, model=model)
        assert (found and found.key) == key


def test_of_two_touches_of_one_update_the_order_is_fixed() -> None:
    both = [replace(touch("a", 1, 0), action_id="1"), replace(touch("b", 1, 0), action_id="2")]
    for touches in (both, both[::-1]):
        last = credited(bought(2, 1), touches, within=DAY * 7, model="last_touch")
        first_ = credited(bought(2, 1), touches, within=DAY * 7, model="first_touch")
        assert last is not None
        assert first_ is not None
        assert (last.key, first_.key) == ("b", "a")


def test_credit_sums_to_the_conversions_and_a_redelivery_counts_once() -> None:
    conversions = [bought(4, 3), bought(6, 5, 20.0), bought(6, 5, 20.0), bought(8, 40, 1.0)]
    found = credits_by_key(conversions, TOUCHES, within=7 * DAY, model="last_touch")
    assert found == {"push": Credit(1, 10.0), "call": Credit(1, 20.0), None: Credit(1, 1.0)}


def test_a_goal_is_read() -> None:
    mistakes = Mistakes()
    document = {"event": "order.placed", "within": "P30D", "attribution": "first_touch",
                "where": {"attr": "event.total", "op": "gte", "value": 5}}  # fmt: skip
    found = read_goal(Fields(mistakes, document, "goal", GOAL_FIELDS))
    where = Compare("event.total", "gte", 5)
    assert found == Goal("order.placed", where, 30 * DAY, "first_touch")
    plain = read_goal(Fields(mistakes, {"event": "x"}, "goal", GOAL_FIELDS))
    assert plain == Goal("x", None, 30 * DAY, "last_touch")
    assert not mistakes.problems


def test_mistakes_in_a_goal_have_their_place() -> None:
    mistakes = Mistakes()
    read_goal(
        Fields(mistakes, {"within": "P91D", "attribution": "linear", "x": 1}, "goal", GOAL_FIELDS)
    )
    assert {one.path: one.rule for one in mistakes.problems} == {
        "goal.x": "unknown_field",
        "goal.event": "required",
        "goal.within": "duration",
        "goal.attribution": "choice",
    }


def test_the_first_exposure_counts() -> None:
    later = replace(SEEN, at=AT + DAY, seq=9, place=Place("touchpoint", "web", "hero"))
    assert first(SEEN, later) == first(later, SEEN) == first(SEEN, SEEN) == SEEN


def test_who_was_in_two_arms_is_mixed_for_good() -> None:
    moved = replace(SEEN, at=AT + DAY, seq=9, arm="control", phase=2)
    mixed = first(SEEN, moved)
    assert mixed == replace(SEEN, mixed=True)
    assert first(mixed, replace(SEEN, at=AT + 2 * DAY)).mixed
    merged = replace(SEEN, profile_id="older", at=AT - DAY, arm="control")
    assert first(SEEN, merged) == replace(merged, mixed=True)
