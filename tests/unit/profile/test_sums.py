"""Orders and revenue: exact decimals, and bad totals that cost nothing but the revenue."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from services.profile.domain.profile import computed
from services.profile.domain.sums import Revenue, amount_text, join, new_sums, revenue_of
from tests.unit.profile.world import World, order, touchpoint

USER = ("user_id", "u")


@pytest.mark.parametrize(
    ("properties", "revenue"),
    [
        ({"total": 59.9, "currency": "EUR"}, "59.9"),
        ({"total": "59.90", "currency": "eur"}, "59.90"),
        ({"total": 0, "currency": "EUR"}, "0"),
        ({"total": -3.5, "currency": "EUR"}, "-3.5"),
        ({"total": "0.00000001", "currency": "EUR"}, "1E-8"),
    ],
)
def test_a_total_is_read_exactly(properties: dict[str, Any], revenue: str) -> None:
    assert revenue_of(msgspec.json.encode(properties)) == Revenue("EUR", Decimal(revenue))


@pytest.mark.parametrize(
    "properties",
    [
        b'{"total":"NaN","currency":"EUR"}',
        b'{"total":"Infinity","currency":"EUR"}',
        b'{"total":1e400,"currency":"EUR"}',
        b'{"total":1e999999999,"currency":"EUR"}',
        b'{"total":"1e-99999","currency":"EUR"}',
        b'{"total":12345678901234567890,"currency":"EUR"}',
        b'{"total":true,"currency":"EUR"}',
        b'{"total":null,"currency":"EUR"}',
        b'{"total":[5],"currency":"EUR"}',
        b'{"total":"free","currency":"EUR"}',
        b'{"total":5,"currency":"euros"}',
        b'{"total":5,"currency":"\xc3\x84\xc3\x96\xc3\x9c"}',
        b'{"total":5,"currency":17}',
        b'{"total":5}',
        b'{"currency":"EUR"}',
        b"{}",
        b"[]",
    ],
)
def test_a_bad_total_is_no_revenue_but_an_order(properties: bytes) -> None:
    assert revenue_of(properties) is None
    world = World()
    world.take(order(1, USER, **_members(properties)))
    (person,) = world.active()
    assert computed(join(_sums(person))) == (1, 1, {}, *[touchpoint(1)["occurred_at"]] * 2)


def test_money_is_summed_without_loss() -> None:
    world = World()
    world.take(*(order(n, USER, total=0.1, currency="EUR") for n in range(10)))
    world.take(order(10, USER, total="9999999999999999.99999999", currency="EUR"))
    world.take(touchpoint(11, USER, type="POS Order Completed"), touchpoint(12, USER))
    (person,) = world.active()
    shown = computed(join(_sums(person)))
    assert (shown.touchpoints, shown.orders) == (13, 12)
    assert shown.revenue == {"EUR": "10000000000000000.99999999"}


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        ("EUR", "159.9", "159.90"),
        ("EUR", "5", "5.00"),
        ("EUR", "0.125", "0.125"),
        ("EUR", "100", "100.00"),
        ("EUR", "1E+2", "100.00"),
        ("JPY", "1200", "1200"),
        ("JPY", "1200.00", "1200"),
        ("KWD", "1.5", "1.500"),
    ],
)
def test_money_is_shown_with_its_minor_digits(currency: str, amount: str, text: str) -> None:
    assert amount_text(currency, Decimal(amount)) == text


def test_sums_of_two_anchors_add_up_in_either_order() -> None:
    a, b = new_sums("2026-01-01T00:00:00.000Z"), new_sums("2025-01-01T00:00:00.000Z")
    a.revenue["EUR"], b.revenue["EUR"] = Decimal("0.10"), Decimal("0.2")
    a.touchpoints, b.orders = 3, 2
    assert join([a, b]) == join([b, a])
    assert join([]) is None


def test_two_first_orders_in_one_batch_show_one_and_then_two() -> None:
    world = World()
    world.take(order(1, USER, total=5, currency="EUR"), order(2, USER, total=5, currency="EUR"))
    shown = [update["profile"]["computed"] for update in world.updates()]
    assert [one["orders"] for one in shown] == [1, 2]
    assert [one["revenue"]["EUR"] for one in shown] == ["5.00", "10.00"]


def _members(properties: bytes) -> dict[str, Any]:
    members = msgspec.json.decode(properties, type=dict[str, msgspec.Raw] | list[Any])
    return members if isinstance(members, dict) else {}


def _sums(person: Any) -> list[Any]:
    return [held.sums for held in person.state.held.values() if held.sums]
