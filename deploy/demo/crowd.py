"""A hundred other customers, so that it is a shop. Made by counting, so always the same people."""

from collections.abc import Iterator
from datetime import timedelta

from deploy.demo.event import Event

SIZE = 100
FIRST_NAMES = (
    "Alan", "Barbara", "Claude", "Dorothy", "Edsger", "Frances", "George", "Hedy", "Ivan", "Jean",
)  # fmt: skip
LAST_NAMES = (
    "Archer", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Haas", "Ito", "Jansen",
)  # fmt: skip
ITEMS = (
    ("Running shirt", 3995), ("Trail shoes Ridge", 12995), ("Socks, three pairs", 1995),
    ("Rain jacket Drizzle", 8995), ("Head torch", 4495), ("Water bottle", 1295),
)  # fmt: skip
"""Names and prices in cents."""
STORES = ("Lyon Bellecour", "Paris Nation", "Lille Centre")


def email(number: int) -> str:
    """The address of the customer of this number."""
    first, last = _names(number)
    return f"{first}.{last}.{number}@example.com".lower()


def past() -> Iterator[Event]:
    """What they did on earlier days; about two events each."""
    for number in range(SIZE):
        mailbox, card = {"email": email(number)}, {"loyalty_id": f"L-{5000 + number}"}
        ago = timedelta(days=2 + number % 60)
        if number % 3 != 2:
            yield _registered(number, ago)
        if number % 2 == 0:
            yield _till_order(number, ago + timedelta(hours=5), card)
            yield Event(
                channel="pos", id=f"customer-{number}-e-receipt", type="E-Receipt Requested",
                ago=ago, who=card | mailbox, properties={"store": STORES[number % 3]},
            )  # fmt: skip
        if number % 4 == 1:
            yield _app_order(number, ago)
        if number % 5 == 0 or (number % 3 == 2 and number % 4 == 3):
            yield Event(
                channel="email", id=f"customer-{number}-news", type="Newsletter Opened", ago=ago,
                who=mailbox, traits={"newsletter": "weekly"},
            )  # fmt: skip
        if number % 10 == 3:
            yield Event(
                channel="call_centre", id=f"customer-{number}-call", type="Call Ended", ago=ago,
                who={"phone": f"+3361100{number:04d}", "email": email(number)},
                properties={"reason": "size advice", "minutes": 2 + number % 7},
            )  # fmt: skip


def today() -> Iterator[Event]:
    """Carts they left a while ago; some are large enough for a reminder."""
    for number in cart_owners():
        item, cents = ITEMS[number % len(ITEMS)]
        yield Event(
            channel="web", id=f"customer-{number}-cart", type="Cart Updated",
            ago=timedelta(minutes=5 + number % 50), who=_account(number),
            traits={"email": email(number)},
            properties={"cart_id": f"C-{1000 + number}", "item": item, "total": cents / 100,
                        "currency": "EUR"},
        )  # fmt: skip


def cart_owners() -> range:
    """Every seventh customer."""
    return range(1, SIZE, 7)


def consenting() -> Iterator[int]:
    """Two of three cart owners allowed marketing e-mails; the others were never asked."""
    return (number for number in cart_owners() if number // 7 % 3)


def _registered(number: int, ago: timedelta) -> Event:
    first, last = _names(number)
    return Event(
        channel="web", id=f"customer-{number}-registered", type="identify", ago=ago,
        who=_account(number) | {"anonymous_id": f"browser-{number:04x}"},
        traits={"email": email(number), "first_name": first, "last_name": last},
    )  # fmt: skip


def _till_order(number: int, ago: timedelta, card: dict[str, str]) -> Event:
    item, cents = ITEMS[number % len(ITEMS)]
    return Event(
        channel="pos", id=f"customer-{number}-till", type="POS Order Completed", ago=ago, who=card,
        traits={"home_store": STORES[number % 3]},
        properties={"order_id": f"T-{3000 + number}", "item": item, "total": cents / 100,
                    "currency": "EUR", "store": STORES[number % 3]},
    )  # fmt: skip


def _app_order(number: int, ago: timedelta) -> Event:
    item, cents = ITEMS[(number + 1) % len(ITEMS)]
    return Event(
        channel="app", id=f"customer-{number}-app", type="Order Completed", ago=ago,
        who=_account(number) | {"device_id": f"phone-{number:04x}", "email": email(number)},
        properties={"order_id": f"A-{3000 + number}", "item": item, "total": cents / 100,
                    "currency": "EUR"},
    )  # fmt: skip


def _account(number: int) -> dict[str, str]:
    return {"user_id": f"u-{2000 + number}"}


def _names(number: int) -> tuple[str, str]:
    return FIRST_NAMES[number % 10], LAST_NAMES[number // 10]
