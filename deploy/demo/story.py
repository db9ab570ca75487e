"""Ada's story in three chapters: five channels that do not know each other, how they come to know
each other, and an afternoon on which each of them wants something from her. Data only.

Everything before the afternoon is older than a day, so no rule answers it: rules are for what
happens now.
"""

from dataclasses import dataclass
from datetime import timedelta

from deploy.demo.configuration import BACK, CART, RECEIPT, TILL
from deploy.demo.event import Event

EMAIL = "ada@example.com"
BROWSER = {"anonymous_id": "browser-51c2e7"}
DEVICE = {"device_id": "phone-8d03af"}
MAILBOX = {"email": EMAIL}
CARD = {"loyalty_id": "L-4711"}
CALLER = {"phone": "06 12 34 56 78"}
ACCOUNT = {"user_id": "u-1042"}


@dataclass(frozen=True, slots=True)
class Silo:
    """What one channel knew of Ada, under an identifier that no other channel knew."""

    channel: str
    title: str
    type: str
    value: str


SILOS = (
    Silo("web", "web shop", "anonymous_id", BROWSER["anonymous_id"]),
    Silo("app", "shop app", "device_id", DEVICE["device_id"]),
    Silo("email", "e-mail", "email", EMAIL),
    Silo("pos", "till", "loyalty_id", CARD["loyalty_id"]),
    Silo("call_centre", "call centre", "phone", "+33612345678"),
)
"""The agent typed the phone number as one does in France; Concert keeps it as +33…"""


def _days(days: float) -> timedelta:
    return timedelta(days=days)


def _minutes(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


ALONE = (
    Event(
        channel="web", id="ada-view-1", type="Product Viewed", ago=_days(9), who=BROWSER,
        traits={"favourite_category": "trail running"},
        properties={"item": "Trail shoes Ridge", "price": 129.95, "currency": "EUR"},
    ),
    Event(
        channel="web", id="ada-view-2", type="Product Viewed", ago=_days(3), who=BROWSER,
        properties={"item": "Trail shoes Ridge", "price": 129.95, "currency": "EUR"},
    ),
    Event(
        channel="app", id="ada-app-order", type="Order Completed", ago=_days(45), who=DEVICE,
        traits={"shoe_size": "39"},
        properties={"order_id": "A-2207", "item": "Cap", "total": 39.95, "currency": "EUR"},
    ),
    Event(
        channel="app", id="ada-wish", type="Wishlist Item Added", ago=_days(12), who=DEVICE,
        properties={"item": "Rain jacket Drizzle"},
    ),
    Event(
        channel="email", id="ada-news-1", type="Newsletter Opened", ago=_days(8), who=MAILBOX,
        traits={"newsletter": "weekly"}, properties={"issue": "Spring on the trails"},
    ),
    Event(
        channel="pos", id="ada-till-1", type="POS Order Completed", ago=_days(200), who=CARD,
        traits={"first_name": "A.", "last_name": "Lovelace", "home_store": "Lyon Bellecour"},
        properties={
            "order_id": "T-0931", "item": "Running shirt", "total": 74.50, "currency": "EUR",
            "store": "Lyon Bellecour",
        },
    ),
    Event(
        channel="pos", id="ada-till-2", type="POS Order Completed", ago=_days(61), who=CARD,
        properties={
            "order_id": "T-1420", "item": "Socks, three pairs", "total": 59.00, "currency": "EUR",
            "store": "Lyon Bellecour",
        },
    ),
    Event(
        channel="call_centre", id="ada-call-1", type="Call Ended", ago=_days(5), who=CALLER,
        traits={"last_call": "Called about a late parcel."},
        properties={"reason": "late parcel", "solved": True, "minutes": 6},
    ),
)  # fmt: skip
"""First chapter: each channel publishes under its own identifier, so there are five profiles."""

TOGETHER = (
    Event(
        channel="web", id="ada-login", type="identify", ago=_days(2), who=ACCOUNT | BROWSER,
        traits={"email": EMAIL, "first_name": "Ada", "locale": "en-GB",
                "timezone": "Europe/Paris"},
    ),
    Event(
        channel="app", id="ada-app-login", type="App Signed In", ago=_days(2), who=ACCOUNT | DEVICE,
    ),
    Event(
        channel="pos", id="ada-e-receipt", type="E-Receipt Requested", ago=_days(1.5),
        who=CARD | MAILBOX, properties={"store": "Lyon Bellecour"},
    ),
    Event(
        channel="call_centre", id="ada-verified", type="Caller Verified", ago=_days(1.2),
        who=CALLER | CARD, properties={"by": "loyalty card"},
    ),
)  # fmt: skip
"""Second chapter: each event names two identifiers of one person, so the profiles become one."""

CONSENTS = (
    {"purpose": "marketing", "channel": "email", "status": "granted", "basis": "consent"},
    {"purpose": "marketing", "channel": "app", "status": "granted", "basis": "consent"},
)

CART_LEFT = Event(
    channel="web", id="ada-cart", type="Cart Updated", ago=_minutes(40), who=ACCOUNT | BROWSER,
    properties={"cart_id": "C-77", "item": "Trail shoes Ridge", "total": 129.95, "currency": "EUR"},
)  # fmt: skip
BACK_IN_STOCK = Event(
    channel="app", id="ada-back-in-stock", type="Wishlist Item Back In Stock", ago=_minutes(30),
    who=ACCOUNT | DEVICE, properties={"item": "Rain jacket Drizzle"},
)  # fmt: skip
CARD_SHOWN = Event(
    channel="pos", id="ada-card", type="Loyalty Card Shown", ago=_minutes(2), who=CARD,
    properties={"store": "Lyon Bellecour", "till": 3},
)  # fmt: skip
BOUGHT = Event(
    channel="pos", id="ada-till-3", type="POS Order Completed", ago=_minutes(1), who=CARD,
    properties={
        "order_id": "T-1988", "item": "Trail shoes Ridge", "total": 129.95, "currency": "EUR",
        "store": "Lyon Bellecour",
    },
)  # fmt: skip

TODAY = (CART_LEFT, BACK_IN_STOCK, CARD_SHOWN, BOUGHT)
"""Third chapter, one after the other: what a rule answers depends on what came before."""

ANSWERED_BY = {
    CART_LEFT.id: CART,
    BACK_IN_STOCK.id: BACK,
    CARD_SHOWN.id: TILL,
    BOUGHT.id: RECEIPT,
}
"""Which rule each of them triggers."""

ORDERS = 4
REVENUE = {"EUR": "303.40"}
"""Two orders at the till and one in the app long ago, one at the till today."""
EVENTS = (*ALONE, *TOGETHER, *TODAY)
