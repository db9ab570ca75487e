"""What a profile's consents permit: marketing needs a grant, service must not have been refused.

Transactional and legal messages need none. A consent for the channel `*` is about every channel.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.contracts.profile_update import Consent

EVERY_CHANNEL = ("*", "all", "any")
NEEDS_NONE = ("transactional", "legal")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why consent stands against an action: a reason code, what was needed and what is there."""

    reason: str
    condition: str
    expected: str
    actual: str | None


def refusal(
    consents: Iterable[Consent], *, category: str, topic: str | None, channel: str
) -> Refusal | None:
    """None when the action is permitted.

    The category is the purpose that is asked about; a refusal of the rule's topic counts as well.
    Of a consent for the channel and one for every channel the later decides; a refusal decides
    when that cannot be told, so that a general "no" never loses against an older "yes".
    """
    if category in NEEDS_NONE:
        return None
    held = list(consents)
    status = _status(held, category, channel)
    about = category
    if topic is not None and status != "denied" and _status(held, topic, channel) == "denied":
        status, about = "denied", topic
    if status == "granted" or (category == "service" and status is None):
        return None
    if status == "denied":
        return Refusal(
            "consent_denied", f"consent for {about} on {channel}", "not denied", "denied"
        )
    return Refusal("consent_missing", f"consent for {about} on {channel}", "granted", None)


def _status(consents: list[Consent], purpose: str, channel: str) -> str | None:
    exact = _latest(consents, purpose, (channel,))
    general = _latest(consents, purpose, EVERY_CHANNEL)
    if exact is None or general is None:
        only = exact or general
        return None if only is None else only.status
    if exact.status == general.status:
        return exact.status
    if exact.at is None or general.at is None or exact.at == general.at:
        return "denied"
    return exact.status if exact.at > general.at else general.status


def _latest(consents: list[Consent], purpose: str, channels: tuple[str, ...]) -> Consent | None:
    """The consent that decides among those for these channels: the latest, then the strictest."""
    fitting = [
        consent
        for consent in consents
        if consent.purpose == purpose and consent.channel in channels
    ]
    return max(
        fitting, key=lambda consent: (consent.at or "", consent.status == "denied"), default=None
    )
