"""What the shop's people would set up: sources, templates, contact policy and rules. Data only."""

from typing import Any

Document = dict[str, Any]

SOURCES: dict[str, Document] = {
    "web": {"id": "web-shop", "name": "Web shop", "channel": "web", "dialect": "segment"},
    "app": {"id": "shop-app", "name": "Shop app", "channel": "app"},
    "email": {
        "id": "newsletter", "name": "Newsletter tool", "channel": "email",
        "dialect": "cloudevents", "subject_as": "email",
    },
    "pos": {"id": "tills", "name": "Tills of the stores", "channel": "pos"},
    "call_centre": {
        "id": "call-centre", "name": "Call centre", "channel": "call_centre",
        "default_region": "FR",
    },
}  # fmt: skip
"""By channel: one publisher each."""

CART, BACK, TILL, RECEIPT, VIP = (
    "cart-reminder", "back-in-stock", "till-welcome", "receipt", "vip-invitation",
)  # fmt: skip

TEMPLATES: dict[str, Document] = {
    CART: {
        "channel": "email",
        "content": {
            "en": {
                "subject": "{{ profile.first_name }}, your cart is waiting",
                "body": "{{ event.item }} ({{ event.total }} {{ event.currency }}) is kept.",
            },
            "fr": {
                "subject": "{{ profile.first_name }}, votre panier vous attend",
                "body": "{{ event.item }} ({{ event.total }} {{ event.currency }}) est réservé.",
            },
        },
        "default_locale": "en",
        "fallbacks": {"first_name": "Hello"},
    },
    BACK: {
        "channel": "app",
        "content": {"en": {"body": "{{ event.item }} is back in size {{ profile.shoe_size }}."}},
        "default_locale": "en",
        "fallbacks": {"shoe_size": "yours"},
    },
    TILL: {
        "channel": "pos",
        "content": {
            "en": {
                "title": "Welcome back, {{ profile.first_name }}",
                "body": "Browses {{ profile.favourite_category }} online. {{ profile.last_call }}",
            }
        },
        "default_locale": "en",
        "fallbacks": {"first_name": "dear customer", "favourite_category": "all sorts"},
    },
    RECEIPT: {
        "channel": "email",
        "content": {
            "en": {
                "subject": "Your receipt from {{ event.store }}",
                "body": "{{ event.item }}: {{ event.total }} {{ event.currency }}. Thank you!",
            }
        },
        "default_locale": "en",
    },
    VIP: {
        "channel": "email",
        "content": {
            "en": {
                "subject": "{{ profile.first_name }}, you are invited",
                "body": "After {{ profile.computed.orders }} orders you are one of our best.",
            }
        },
        "default_locale": "en",
        "fallbacks": {"first_name": "Hello"},
    },
}

CONTACT_POLICY_KEY = "default"
CONTACT_POLICY: Document = {
    "description": "One marketing contact a day for each person, on all channels together.",
    "caps": [{"scope": {"category": "marketing"}, "limit": 1, "window": "P1D"}],
}

RULES: dict[str, Document] = {
    CART: {
        "description": "Remind an hour after a cart was left, unless it was bought on any channel.",
        "category": "marketing",
        "trigger": {
            "type": "event", "event": "Cart Updated",
            "where": {"attr": "event.total", "op": "gte", "value": 50},
        },
        "exit_criteria": [{"event": "Order Completed"}, {"event": "POS Order Completed"}],
        "score": {"propensity": 0.12, "value": 18},
        "actions": [{"type": "message", "channel": "email", "template": CART, "delay": "PT1H"}],
    },
    BACK: {
        "description": "Something from the wish list can be had again.",
        "category": "marketing",
        "trigger": {"type": "event", "event": "Wishlist Item Back In Stock"},
        "score": {"propensity": 0.2, "value": 9},
        "actions": [{"type": "message", "channel": "app", "template": BACK}],
    },
    TILL: {
        "description": "Whoever shows the loyalty card is greeted by a person who knows them.",
        "category": "service",
        "trigger": {"type": "event", "event": "Loyalty Card Shown"},
        "actions": [
            {"type": "prompt", "channel": "pos", "template": TILL, "expires_in": "PT30M"}
        ],
    },
    RECEIPT: {
        "description": "A receipt by e-mail for every purchase at a till.",
        "category": "transactional",
        "trigger": {"type": "event", "event": "POS Order Completed"},
        "actions": [{"type": "message", "channel": "email", "template": RECEIPT}],
    },
    VIP: {
        "description": "Customers of five orders and more are invited to an evening in the store.",
        "category": "marketing",
        "trigger": {"type": "event", "event": "POS Order Completed"},
        "engagement_policy": {
            "eligibility": {"attr": "profile.computed.orders", "op": "gte", "value": 5}
        },
        "re_entry": {"mode": "never"},
        "actions": [{"type": "message", "channel": "email", "template": VIP}],
    },
}  # fmt: skip
