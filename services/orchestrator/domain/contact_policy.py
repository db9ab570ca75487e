"""The contact policy: how often, when and where a profile may be contacted, and what has to be
agreed to before.

Values only; `policy_document.py` reads and checks the JSON form. Every published policy holds:
`joint_policy.py` says what they mean together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from services.orchestrator.domain.cap import Cap
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.quiet_hours import QuietHours
from services.orchestrator.domain.rule import Holdout
from services.orchestrator.domain.suppression import Suppression
from services.orchestrator.domain.zone import UTC_ZONE, TimeZone, Zone

CATEGORIES = ("marketing", "service", "transactional", "legal")
FACTORS = ("propensity", "context", "value", "lever")
"""What a score is made of; a formula says which of them count, the others are 1."""
TIES = ("priority", "value", "key")
"""What decides between equal scores, in this order where a policy does not say another."""
NO_WINDOW = timedelta(0)
CUSTOMER_WEIGHT = 0.2
Need = Literal["none", "not_opted_out", "opt_in"]
NEEDS: tuple[Need, ...] = ("none", "not_opted_out", "opt_in")
"""What consent a category needs, the strictest last."""
USUAL_NEEDS: Mapping[str, Need] = {
    "marketing": "opt_in",
    "service": "not_opted_out",
    "transactional": "none",
    "legal": "none",
}


@dataclass(frozen=True, slots=True)
class Arbitration:
    """How candidates compete: collected for `window`, at most `max_actions` of them act, scored by
    the factors of `formula`, ties broken by `tie`; `customer_weight` is the customer's part in the
    score of a rule that says what the customer gains. None where the policy does not say."""

    window: timedelta | None = None
    max_actions: int | None = None
    formula: tuple[str, ...] | None = None
    tie: tuple[str, ...] | None = None
    customer_weight: float | None = None


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """One published contact policy. Contacts of the bypassed categories are never capped, deferred
    or suppressed, never lose an arbitration, and count towards caps only if `bypass_counts` says
    so. `time_zone` and `channel_preference` are None where the policy does not say."""

    key: str
    version: int
    caps: tuple[Cap, ...] = ()
    bypass: frozenset[str] = frozenset({"transactional", "legal"})
    bypass_counts: bool = False
    time_zone: TimeZone | None = None
    quiet_hours: tuple[QuietHours, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    consent: Mapping[str, Need] = field(default_factory=dict)
    channel_preference: tuple[str, ...] | None = None
    arbitration: Arbitration = Arbitration()
    holdout: Holdout | None = None

    def exceeded(
        self,
        contact: Contact,
        others: Iterable[Contact],
        kin: Sequence[Contact] = (),
        *,
        zone: Zone = UTC_ZONE,
    ) -> tuple[Cap, int] | None:
        """The first cap that the contact would break, and how many contacts its busiest window
        would hold; None when it may be made. `others` are the other contacts of the profile, `kin`
        those of the rest of its household. Calendar windows are those of the profile's zone, and
        of the default zone where a household shares them."""
        if contact.category in self.bypass:
            return None
        own = others if isinstance(others, Sequence) else list(others)
        for cap in self.caps:
            if not cap.covers(contact):
                continue
            known = [*own, *kin] if cap.household else own
            instants = [
                other.at
                for other in known
                if cap.covers(other) and (self.bypass_counts or other.category not in self.bypass)
            ]
            count = cap.count(instants, contact.at, zone.shared if cap.household else zone.info)
            if count > cap.limit:
                return cap, count
        return None

    def channels_named(self) -> Iterator[tuple[str, str]]:
        """Every channel that the policy names, with the path of the place."""
        for place, cap in enumerate(self.caps):
            if cap.channel is not None:
                yield f"caps[{place}].scope.channel", cap.channel
        for place, quiet in enumerate(self.quiet_hours):
            for number, channel in enumerate(quiet.channels or ()):
                yield f"quiet_hours[{place}].channels[{number}]", channel
        for place, suppression in enumerate(self.suppressions):
            if suppression.channel is not None:
                yield f"suppressions[{place}].on.channel", suppression.channel


DEFAULT_POLICY = ContactPolicy(key="default", version=0)
"""Holds until somebody publishes the policy `default`: no caps, one winner for each touchpoint."""
