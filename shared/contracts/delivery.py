"""Delivery events: what became of an action on its channel, up to the customer's response.

They are ordinary events of a channel. Their type ends with the outcome (`email.clicked`, or just
`clicked`), and `properties.action_id` names the action.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args
from uuid import UUID

Delivery = Literal["delivered", "bounced", "failed", "expired"]
"""What became of the message itself."""

Response = Literal["opened", "clicked", "accepted", "declined", "ignored", "complained", "redeemed"]
"""What the customer did with it."""

OutcomeName = Literal[Delivery, Response]
DELIVERY: tuple[str, ...] = get_args(Delivery)
RESPONSES: tuple[str, ...] = get_args(Response)
OUTCOMES: tuple[str, ...] = get_args(OutcomeName)


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
