"""What a profile's consents permit: a category needs a grant (`opt_in`), or that nobody refused
(`not_opted_out`), or nothing (`none`).

Which of them it is, the contact policies say. Which record decides is the same rule as everywhere:
`shared.contracts.consents`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.contact_policy import Need
from shared.contracts.consents import consents_at
from shared.contracts.profile_update import Consent
from shared.contracts.times import rfc3339


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
    need: Need,
    at: datetime,
) -> Refusal | None:
    """None when the action is permitted at an instant.

    The category is the purpose that is asked about; a refusal of the rule's topic counts as well.
    What is pending or expired is no grant, and no refusal either.
    """
    if need == "none":
        return None
    held = consents_at(consents, rfc3339(at))
    status, about = held.get((category, channel)), category
    if topic is not None and status != "denied" and held.get((topic, channel)) == "denied":
        status, about = "denied", topic
    if status == "granted" or (need == "not_opted_out" and status != "denied"):
        return None
    wanted = f"consent for {about} on {channel}"
    if status == "denied":
        return Refusal("consent_denied", wanted, "not denied", "denied")
    return Refusal(f"consent_{status or 'missing'}", wanted, "granted", status)
