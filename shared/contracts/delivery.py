"""Delivery events: what became of an action on its channel, up to the customer's response.

They are ordinary events of a channel. Their type ends with the outcome (`email.clicked`, or just
`clicked`), and `properties.action_id` names the action.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

DELIVERY = ("delivered", "bounced", "failed", "expired")
"""What became of the message itself."""

RESPONSES = (
    "opened", "clicked", "accepted", "declined", "ignored", "complained", "redeemed",
)  # fmt: skip
"""What the customer did with it."""

OUTCOMES = (*DELIVERY, *RESPONSES)


def event_type(channel: str, outcome: str) -> str:
    """The type of the event that says what became of an action on a channel."""
    return f"{channel}.{outcome}"


def outcome_of(event: str | None, properties: Mapping[str, Any]) -> tuple[UUID, str] | None:
    """The action and the outcome that an event speaks of; None when it is no delivery event."""
    outcome = (event or "").rpartition(".")[2]
    named = properties.get("action_id")
    if outcome not in OUTCOMES or not isinstance(named, str):
        return None
    try:
        return UUID(named), outcome
    except ValueError:
        return None
