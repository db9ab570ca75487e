"""The catalogue of touchpoint names that mean the same on every channel.

Any name is taken; these are the ones that several channels share, so that one rule or segment
covers all of them. The online names are those of Segment's specifications; no specification covers
what happens off line, so those are Concert's, in the same grammar. `docs/touchpoints.md` is made of
this by `page`.
"""

from typing import NamedTuple


class SemanticName(NamedTuple):
    """A touchpoint type: what it means, and the properties that usually come with it."""

    name: str
    meaning: str
    properties: tuple[str, ...] = ()


_PRODUCT = ("product_id", "name", "price", "currency", "quantity")
_CART = ("cart_id", "products")
_CHECKOUT = ("checkout_id", "order_id", "step")
_ORDER = ("order_id", "total", "currency", "products")
_COUPON = ("coupon_id", "coupon_name", "order_id")
_EMAIL = ("email_id", "campaign_id", "email_subject")
_APP = ("version", "build")
_PUSH = ("message_id", "campaign", "action")
_CHAT = ("conversation_id", "agent_id")

ECOMMERCE = (
    SemanticName("Products Searched", "Somebody looked for products.", ("query",)),
    SemanticName(
        "Product List Viewed", "A list of products was shown.", ("list_id", "category", "products")
    ),
    SemanticName(
        "Product List Filtered",
        "A list of products was narrowed down or put in order.",
        ("list_id", "filters", "sorts"),
    ),
    SemanticName(
        "Promotion Viewed",
        "An offer of the shop was shown.",
        ("promotion_id", "creative", "position"),
    ),
    SemanticName(
        "Promotion Clicked", "An offer of the shop was followed.", ("promotion_id", "creative")
    ),
    SemanticName("Product Clicked", "A product was chosen from a list.", _PRODUCT),
    SemanticName("Product Viewed", "The page of a product was shown.", _PRODUCT),
    SemanticName("Product Added", "A product was put into the cart.", ("cart_id", *_PRODUCT)),
    SemanticName("Product Removed", "A product was taken out of the cart.", ("cart_id", *_PRODUCT)),
    SemanticName("Cart Viewed", "The cart was shown.", _CART),
    SemanticName("Checkout Started", "Paying for the cart began.", _ORDER),
    SemanticName("Checkout Step Viewed", "A step on the way to the order was shown.", _CHECKOUT),
    SemanticName("Checkout Step Completed", "A step on the way to the order was done.", _CHECKOUT),
    SemanticName(
        "Payment Info Entered", "How to pay was filled in.", ("checkout_id", "payment_method")
    ),
    SemanticName("Order Updated", "An order was changed before it was completed.", _ORDER),
    SemanticName("Order Completed", "An order was placed on line; it counts as revenue.", _ORDER),
    SemanticName("Order Refunded", "Money of an order went back, in part or in whole.", _ORDER),
    SemanticName("Order Cancelled", "An order was called off.", _ORDER),
    SemanticName("Coupon Entered", "A code for a discount was typed in.", _COUPON),
    SemanticName("Coupon Applied", "The code took effect.", (*_COUPON, "discount")),
    SemanticName("Coupon Denied", "The code was refused.", (*_COUPON, "reason")),
    SemanticName("Coupon Removed", "The code was taken away again.", (*_COUPON, "discount")),
    SemanticName(
        "Product Added to Wishlist", "A product was noted for later.", ("wishlist_id", *_PRODUCT)
    ),
    SemanticName(
        "Product Removed from Wishlist",
        "A product is no longer noted for later.",
        ("wishlist_id", *_PRODUCT),
    ),
    SemanticName(
        "Wishlist Product Added to Cart",
        "A product that was noted went into the cart.",
        ("wishlist_id", "cart_id", *_PRODUCT),
    ),
    SemanticName(
        "Product Shared", "A product was shown to somebody else.", ("share_via", "product_id")
    ),
    SemanticName("Cart Shared", "A cart was shown to somebody else.", ("share_via", *_CART)),
    SemanticName(
        "Product Reviewed",
        "A customer wrote what they think of a product.",
        ("product_id", "review_id", "rating"),
    ),
)

EMAIL = (
    SemanticName("Email Delivered", "The mail reached the mailbox.", _EMAIL),
    SemanticName("Email Opened", "The mail was opened, or a mail program did as if.", _EMAIL),
    SemanticName("Email Link Clicked", "A link of the mail was followed.", (*_EMAIL, "link_url")),
    SemanticName("Email Bounced", "The mail could not be delivered.", (*_EMAIL, "reason")),
    SemanticName("Email Marked as Spam", "The receiver called the mail unwanted.", _EMAIL),
    SemanticName("Unsubscribed", "The receiver wants no more of such mail.", (*_EMAIL, "list_id")),
)

MOBILE = (
    SemanticName("Application Installed", "The app was put on a device.", _APP),
    SemanticName("Application Opened", "The app was started.", (*_APP, "from_background", "url")),
    SemanticName("Application Backgrounded", "The app was left, and still runs.", ("url",)),
    SemanticName("Application Foregrounded", "The app was come back to.", ("url",)),
    SemanticName(
        "Application Updated", "A newer app took the place of one.", ("previous_version", *_APP)
    ),
    SemanticName("Application Uninstalled", "The app is no longer on the device."),
    SemanticName("Application Crashed", "The app ended without being asked to.", ("url",)),
    SemanticName("Install Attributed", "What led to the installation became known.", ("campaign",)),
    SemanticName("Push Notification Received", "A notification came to the device.", _PUSH),
    SemanticName("Push Notification Tapped", "A notification was followed.", _PUSH),
    SemanticName("Push Notification Bounced", "A notification could not be delivered.", _PUSH),
    SemanticName("Deep Link Clicked", "A link that leads into the app was followed.", ("url",)),
    SemanticName("Deep Link Opened", "The app was opened by such a link.", ("url",)),
)

LIVE_CHAT = (
    SemanticName("Live Chat Conversation Started", "A talk in writing began.", _CHAT),
    SemanticName("Live Chat Message Sent", "The customer wrote.", (*_CHAT, "message_id")),
    SemanticName(
        "Live Chat Message Received", "The customer was answered.", (*_CHAT, "message_id")
    ),
    SemanticName(
        "Live Chat Conversation Ended", "A talk in writing was over.", (*_CHAT, "duration")
    ),
)

CONSENT = (
    SemanticName(
        "Consent Changed",
        "A customer allowed or refused something, in a form or by word of mouth.",
        ("purpose", "channel", "status", "basis", "text_version", "expires_at", "consents"),
    ),
    SemanticName(
        "Segment Consent Preference Updated",
        "A consent manager reports a choice, in `context.consent`.",
        (),
    ),
    SemanticName(
        "Message Received",
        "The customer wrote a message, such as an SMS; words such as STOP opt out.",
        ("body", "message_id"),
    ),
)

OFFLINE = (
    SemanticName("Store Visited", "Somebody who is known came into a store.", ("store_id",)),
    SemanticName(
        "POS Order Completed",
        "A purchase was paid at a till; it counts as revenue.",
        ("order_id", "store_id", "till_id", "total", "currency", "products"),
    ),
    SemanticName("Call Started", "A talk by telephone began.", ("call_id", "direction", "queue")),
    SemanticName(
        "Call Ended",
        "A talk by telephone was over.",
        ("call_id", "direction", "duration_seconds", "outcome", "agent_id"),
    ),
    SemanticName(
        "Ticket Opened",
        "A customer has a question or a complaint that somebody has to see to.",
        ("ticket_id", "subject", "category", "priority"),
    ),
    SemanticName(
        "Ticket Resolved",
        "The question or complaint is settled.",
        ("ticket_id", "resolution", "duration_seconds"),
    ),
    SemanticName(
        "Survey Response Submitted",
        "A customer answered a survey: `nps` from 0 to 10, `csat` from 1 to 5, `ces` from 1 to 7.",
        ("survey_id", "nps", "csat", "ces", "comment"),
    ),
    SemanticName(
        "Kiosk Session Started", "Somebody began to use a terminal.", ("session_id", "kiosk_id")
    ),
    SemanticName(
        "Kiosk Session Ended",
        "The terminal was left, or gave up waiting.",
        ("session_id", "kiosk_id", "duration_seconds", "outcome"),
    ),
)

GROUPS: dict[str, tuple[SemanticName, ...]] = {
    "E-commerce": ECOMMERCE,
    "E-mail": EMAIL,
    "Mobile": MOBILE,
    "Live chat": LIVE_CHAT,
    "Consent": CONSENT,
    "Off line": OFFLINE,
}

REVENUE = ("Order Completed", "POS Order Completed")
"""The types whose `total` and `currency` the profile service adds up."""

_INTRODUCTION = (
    "# Touchpoints: names that mean the same everywhere",
    "",
    "A touchpoint may have any `type`. These are the names that several channels share: a rule or a"
    " segment that is written with them covers every channel that uses them, on line and off line.",
    "The names of the online groups are those of Segment's specifications for e-commerce, e-mail,"
    " mobile and live chat, so its SDKs send them already. The last two say in the same grammar"
    " what customers allow and refuse, and what happens in stores, on the telephone, at terminals"
    " and in surveys.",
    "",
    "A property that is not listed is kept all the same. Money is `total` (or `price`) with"
    f" `currency` (ISO 4217). {REVENUE[0]} and {REVENUE[1]} are orders: their `total` is the"
    " revenue of a profile, so give each purchase one of the two, not both.",
    "",
    "This page is generated: `python -m tests.contract.touchpoints`.",
    "",
)


def page() -> str:
    """The catalogue as Markdown."""
    lines = [*_INTRODUCTION]
    for group, names in GROUPS.items():
        lines += [f"## {group}", "", "| type | meaning | main properties |", "|---|---|---|"]
        for one in names:
            properties = ", ".join(f"`{name}`" for name in one.properties)
            lines.append(f"| {one.name} | {one.meaning} | {properties} |")
        lines.append("")
    return "\n".join(lines)
