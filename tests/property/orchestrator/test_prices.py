"""Prices of scarce resources against greed with a hard stop, and against the best in hindsight.

A day of 6,000 customers, each with a call (of which there are 300), a discount (4,000 in money), or
nothing. Greed takes the best score while there is any left; prices keep what is scarce for those
for whom it is worth most. No choice at all can be worth more than the dual bound: for any prices,
all that there is at these prices, and what each customer's best choice is worth beyond them.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from services.orchestrator.domain.capacity import lacking, uses_of
from services.orchestrator.domain.history import Used
from services.orchestrator.domain.price import Priced, next_price
from services.orchestrator.domain.resource import Resource, parse_resource

START = datetime(2026, 11, 23, tzinfo=UTC)
CUSTOMERS = 6_000
STEP = timedelta(days=1) / CUSTOMERS
CALLS, MONEY = 300.0, 4_000.0
TWO = {
    "calls": parse_resource({"limit": CALLS, "per": "P1D"}, key="calls", version=1),
    "money": parse_resource({"limit": MONEY, "per": "P1D"}, key="money", version=1),
}


@dataclass(frozen=True)
class Action:
    gain: float
    costs: Mapping[str, float]


Day = list[list[Action]]


def day(seed: int) -> Day:
    """What each customer of a day may be offered; those of the afternoon are worth more."""
    draw = random.Random(seed)
    found = []
    for place in range(CUSTOMERS):
        late = 1.0 + place / CUSTOMERS
        worth = draw.lognormvariate(1.0, 0.9) * late
        found.append([
            Action(worth * draw.uniform(0.8, 2.0), {"calls": 1.0}),
            Action(worth * draw.uniform(0.8, 3.0), {"calls": 2.0}),
            Action(worth * draw.uniform(0.3, 1.0), {"money": 5.0}),
            Action(worth * draw.uniform(0.5, 1.4), {"money": 10.0}),
            Action(worth * draw.uniform(0.0, 0.2), {}),
        ])  # fmt: skip
    return found


def spend_day(
    customers: Day, prices: dict[str, Priced], *, priced: bool
) -> tuple[float, dict[str, float]]:
    """What the day was worth, and what was used; `prices` are changed on the way."""
    used: Used = {}
    total, now = 0.0, START
    for actions in customers:
        worth = {name: one.price for name, one in prices.items()} if priced else {}

        def score(one: Action, worth: Mapping[str, float] = worth) -> float:
            return one.gain - sum(worth.get(key, 0.0) * n for key, n in one.costs.items())

        open_ = [one for one in actions if lacking(TWO, one.costs, used, now) is None]
        best = max(open_, key=score, default=None)
        if best is not None and score(best) > 0.0:
            total += best.gain
            for use in uses_of(TWO, best.costs, now):
                place = (use.resource, use.window)
                used[place] = used.get(place, 0.0) + use.amount
        now += STEP
        if priced and now < START + timedelta(days=1):
            follow(prices, used, now)
    return total, {key: used.get((key, START), 0.0) for key in TWO}


def follow(prices: dict[str, Priced], used: Used, now: datetime) -> None:
    for key, resource in TWO.items():
        price = next_price(resource, prices.get(key), used.get((key, START), 0.0), now)
        if price is not None:
            prices[key] = price


def bound(customers: Day) -> float:
    """The smallest dual bound on a grid of prices that gets finer."""

    def dual(calls: float, money: float) -> float:
        worth = {"calls": calls, "money": money}
        return (
            calls * CALLS
            + money * MONEY
            + sum(
                max(0.0, *(a.gain - sum(worth[k] * n for k, n in a.costs.items()) for a in actions))
                for actions in customers
            )
        )

    calls, money, step = 20.0, 2.0, 0.5
    best = dual(calls, money)
    for _ in range(24):
        around = [(calls * (1 + a * step), money * (1 + b * step)) for a, b in
                  ((1, 0), (-1, 0), (0, 1), (0, -1))]  # fmt: skip
        value, calls_, money_ = min((dual(*one), *one) for one in around)
        if value < best:
            best, calls, money = value, calls_, money_
        else:
            step /= 2
    return best


def again(prices: Mapping[str, Priced]) -> dict[str, Priced]:
    """The prices at the start of a day like the last one."""
    return {key: Priced(one.price, START, START, 0.0) for key, one in prices.items()}


@pytest.mark.parametrize("seed", [1])
def test_prices_are_worth_more_than_greed_and_never_overspend(seed: int) -> None:
    customers = day(seed)
    best = bound(customers)
    greedy, used = spend_day(customers, {}, priced=False)
    prices: dict[str, Priced] = {}
    cold, used_cold = spend_day(customers, prices, priced=True)
    warm, used_warm = spend_day(day(seed + 100), again(prices), priced=True)
    best_warm = bound(day(seed + 100))
    shares = [greedy / best, cold / best, warm / best_warm]
    print("of the best in hindsight: greedy {:.1%}, cold {:.1%}, warm {:.1%}".format(*shares))
    for spent in (used, used_cold, used_warm):
        assert spent["calls"] <= CALLS
        assert spent["money"] <= MONEY
    assert cold >= greedy
    assert shares[1] > 0.85
    assert shares[2] > 0.9
    assert shares[2] <= 1.0


def resource(**fields: object) -> Resource:
    return parse_resource({"limit": 96, "per": "P1D", **fields}, key="r", version=1)


def after(spent: float, *, price: float = 1.0, make: Callable[[], Resource] = resource) -> float:
    """The price after the first quarter of an hour of a day in which so much was used."""
    found = next_price(
        make(), Priced(price, START, START, 0.0), spent, START + timedelta(minutes=15)
    )
    assert found is not None
    return found.price


def test_a_price_follows_what_is_spent_against_its_curve() -> None:
    assert after(1.0) == pytest.approx(1.0)
    assert after(2.0) > 1.0 > after(0.0)
    assert after(0.0, price=0.0) == 0.0
    morning = resource(curve=[3, 1])
    assert after(1.5, make=lambda: morning) == pytest.approx(1.0)


def test_a_price_stays_for_its_tick_and_into_the_next_window() -> None:
    minute = timedelta(minutes=1)
    last = Priced(2.0, START, START, 0.0)
    assert next_price(resource(), last, 5.0, START + minute) is None
    first = next_price(resource(), None, 5.0, START)
    assert first == Priced(0.0, START, START, 5.0)
    tomorrow = START + timedelta(days=1, minutes=15)
    found = next_price(resource(), last, 1.0, tomorrow)
    assert found is not None
    assert found.price == pytest.approx(2.0)
    assert found.window == START + timedelta(days=1)
