"""Whether a delivery may be tried now: what can change between its release and a later try.

Quiet hours and consent are asked of the person as known now. Waiting for the end of a silence is no
try, and `give_up_after` does not shorten it: what expires before is closed as expired.
"""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain import consent
from services.orchestrator.domain.delivering import Settled
from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.quiet import planned_instant
from shared.contracts.profile_update import ProfileSnapshot


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a delivery is for, and what it is about. `profile` is None when nothing of the person
    is known here any more: the default zone holds then, and consent is not asked."""

    channel: str
    category: str
    topic: str | None
    profile: ProfileSnapshot | None


def held_back(one: Addressed, policy: JointPolicy, at: datetime) -> Settled | None:
    """Where the delivery stands when it must not be tried at an instant; None when it may."""
    if one.profile is not None:
        refused = consent.refusal(
            one.profile.consents,
            category=one.category,
            topic=one.topic,
            channel=one.channel,
            need=policy.consent[one.category],
            at=at,
        )
        if refused is not None:
            return Settled("failed", refused.reason, counts=False)
    if not policy.needs_zone:
        return None
    zone = policy.time_zone.default_zone if one.profile is None else policy.zone_of(one.profile)
    instant = planned_instant(
        policy.policies, channel=one.channel, category=one.category, at=at, zone=zone
    )
    if isinstance(instant, Drop):
        return Settled("failed", instant.reason, counts=False)
    if instant.waits_for is None:
        return None
    return Settled("waiting", "quiet_hours", instant.at, counts=False)
