"""Sums of touchpoints: counts, revenue by currency, first and last sight.

They are kept per anchor identifier and only added up for showing, so that a merge unites them and
a split divides them. `join` must stay commutative and associative, and money exact.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation

import msgspec

ORDER_TYPES = frozenset(("Order Completed", "POS Order Completed"))
"""Touchpoints of these types are orders: `properties.total` in `properties.currency` is revenue."""

MAX_DIGITS = 24
MAX_DECIMALS = 8
"""A total with more digits than this is no amount of money; it adds nothing to revenue."""

EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])
"""60 digits hold 10^36 of the largest totals; a sum that would be rounded raises instead."""

_NO_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_MINOR = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_DIGITS = {
    **dict.fromkeys(_NO_MINOR.split(), 0),
    **dict.fromkeys(_THREE_MINOR.split(), 3),
}
"""ISO 4217 digits after the point, where they are not two."""


class Sums(msgspec.Struct, array_like=True, gc=False):
    """Sums of the touchpoints that hang on one identifier. Times are RFC 3339 UTC."""

    touchpoints: int
    orders: int
    first_seen_at: str
    last_seen_at: str
    revenue: dict[str, Decimal]


class _Money(msgspec.Struct, gc=False):
    total: Decimal
    currency: str


class Revenue(msgspec.Struct, frozen=True, gc=False):
    """An exact amount of one currency (ISO 4217 code)."""

    currency: str
    amount: Decimal


_money_decoder = msgspec.json.Decoder(_Money)


def revenue_of(properties: bytes | memoryview) -> Revenue | None:
    """The revenue of an order's properties (JSON); None when they state no usable amount.

    The total is a JSON number or a decimal string. An order without a usable total still counts
    as an order.
    """
    try:
        money = _money_decoder.decode(properties)
    except msgspec.MsgspecError:
        return None
    currency = money.currency.strip().upper()
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha():
        return None
    return Revenue(currency, money.total) if _is_amount(money.total) else None


def new_sums(occurred_at: str) -> Sums:
    """Sums of nothing yet, ready for a touchpoint of that instant."""
    return Sums(0, 0, occurred_at, occurred_at, {})


def add_touchpoint(sums: Sums, occurred_at: str, order: bool, revenue: Revenue | None) -> None:
    """Count one touchpoint in place."""
    sums.touchpoints += 1
    if occurred_at < sums.first_seen_at:
        sums.first_seen_at = occurred_at
    if occurred_at > sums.last_seen_at:
        sums.last_seen_at = occurred_at
    if order:
        sums.orders += 1
        if revenue is not None:
            _add_revenue(sums.revenue, revenue.currency, revenue.amount)


def join(all_sums: Iterable[Sums]) -> Sums | None:
    """The sums of everything together, as a new value; None for nothing."""
    total: Sums | None = None
    for sums in all_sums:
        if total is None:
            total = Sums(
                sums.touchpoints,
                sums.orders,
                sums.first_seen_at,
                sums.last_seen_at,
                dict(sums.revenue),
            )
            continue
        total.touchpoints += sums.touchpoints
        total.orders += sums.orders
        if sums.first_seen_at < total.first_seen_at:
            total.first_seen_at = sums.first_seen_at
        if sums.last_seen_at > total.last_seen_at:
            total.last_seen_at = sums.last_seen_at
        if sums.revenue:
            for currency, amount in sums.revenue.items():
                _add_revenue(total.revenue, currency, amount)
    return total


def amount_text(currency: str, amount: Decimal) -> str:
    """The amount with the currency's minor digits, and more only where it has more: `159.90`."""
    least = _MINOR_DIGITS.get(currency, 2)
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    return f"{whole}.{decimals}" if decimals else whole


def _add_revenue(revenue: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    held = revenue.get(currency)
    revenue[currency] = amount if held is None else EXACT.add(held, amount)


def _is_amount(total: Decimal) -> bool:
    if not total.is_finite():
        return False
    exponent = total.as_tuple().exponent
    return (
        isinstance(exponent, int)
        and exponent >= -MAX_DECIMALS
        and total.adjusted() < (MAX_DIGITS - MAX_DECIMALS)
    )
