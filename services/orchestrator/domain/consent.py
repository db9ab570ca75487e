"""What a profile's consents permit: marketing needs a grant, service must not have been refused.

Transactional and legal messages need none. Which record decides is the same rule as everywhere:
`shared.contracts.consents`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.contracts.consents import consents_at
from shared.contracts.profile_update import Consent
from shared.contracts.times import rfc3339

NEEDS_NONE = ("transactional", "legal")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why consent stands against an action: a reason code, what was needed and what is there."""

    reason: str
    condition: str
    expected: str
    actual: str | None


def refusal(
    consents: Iterable[Consent],
    *,
    category: str,
    topic: str | None,
    channel: str,
    at: datetime,
) -> Refusal | None:
    """None when the action is permitted at an instant.

    The category is the purpose that is asked about; a refusal of the rule's topic counts as well.
    What is pending or expired is no grant, and no refusal either.
    """
    if category in NEEDS_NONE:
        return None
    held = consents_at(consents, rfc3339(at))
    status, about = held.get((category, channel)), category
    if topic is not None and status != "denied" and held.get((topic, channel)) == "denied":
        status, about = "denied", topic
    if status == "granted" or (category == "service" and status != "denied"):
        return None
    wanted = f"consent for {about} on {channel}"
    if status == "denied":
        return Refusal("consent_denied", wanted, "not denied", "denied")
    return Refusal(f"consent_{status or 'missing'}", wanted, "granted", status)
