"""What all published contact policies say together: each of them holds.

Where two say different things the stricter one decides: the fewest actions, the longest window, a
factor that any leaves out, the strictest consent. Where only one can hold (zone, ties) it is what
the policy `default` says, else the first by key that says anything.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TypeVar

from services.orchestrator.domain.contact_policy import (
    CUSTOMER_WEIGHT,
    DEFAULT_POLICY,
    FACTORS,
    NEEDS,
    NO_WINDOW,
    TIES,
    USUAL_NEEDS,
    ContactPolicy,
    Need,
)
from services.orchestrator.domain.preference import ENGAGED_WITHIN, LAST_ENGAGED
from services.orchestrator.domain.zone import TimeZone, Zone
from shared.contracts.profile_update import ProfileSnapshot

T = TypeVar("T")


class JointPolicy:
    """The published policies as one."""

    def __init__(self, policies: Iterable[ContactPolicy]) -> None:
        published = {policy.key: policy for policy in policies}
        published.setdefault(DEFAULT_POLICY.key, DEFAULT_POLICY)
        self.policies = tuple(
            sorted(published.values(), key=lambda one: (one.key != DEFAULT_POLICY.key, one.key))
        )
        """The policy `default` first, the others by key."""
        caps = [cap for policy in self.policies for cap in policy.caps]
        self.longest_window = max((cap.window for cap in caps), default=NO_WINDOW)
        """No contact further away than this from a planned one matters; zero without caps."""
        self.household_window = max(
            (cap.window for cap in caps if cap.household), default=NO_WINDOW
        )
        """The same of what the rest of the household has to do with; zero where nothing."""
        self.unarbitrated = frozenset.intersection(*(policy.bypass for policy in self.policies))
        """Categories that never lose an arbitration."""
        self.channel_preference = tuple(
            said for policy in self.policies for said in policy.channel_preference or ()
        )
        self.outcome_window = self._outcome_window()
        """No outcome older than this matters; zero where none does."""
        self.needs_zone = any(
            policy.quiet_hours or any(cap.period for cap in policy.caps) for policy in self.policies
        )
        """Whether anything goes by the clock of the person."""
        arbitrations = [policy.arbitration for policy in self.policies]
        self.max_actions = min(
            (one.max_actions for one in arbitrations if one.max_actions is not None), default=1
        )
        self.window = max(
            (one.window for one in arbitrations if one.window is not None), default=NO_WINDOW
        )
        """For how long candidates are collected."""
        self.customer_weight = max(
            (one.customer_weight for one in arbitrations if one.customer_weight is not None),
            default=CUSTOMER_WEIGHT,
        )
        """The customer's part in the score of a rule that says what the customer gains, 0 to 1."""
        self.formula = frozenset(
            factor
            for factor in FACTORS
            if all(one.formula is None or factor in one.formula for one in arbitrations)
        )
        """The factors of the score that count."""
        self.tie = self._first(lambda policy: policy.arbitration.tie) or TIES
        """What decides between equal scores, in order."""
        self.time_zone = self._first(lambda policy: policy.time_zone) or TimeZone()
        self.consent: Mapping[str, Need] = {
            category: self._need(category) for category in USUAL_NEEDS
        }
        """What consent each category needs."""

    def zone_of(self, profile: ProfileSnapshot) -> Zone:
        """The zone that a person lives in, and how that is known."""
        return self.time_zone.of(profile)

    def zone_for_record(self, profile: ProfileSnapshot) -> Zone | None:
        """The same where anything goes by the person's clock; None where nothing does."""
        return self.zone_of(profile) if self.needs_zone else None

    def _first(self, said: Callable[[ContactPolicy], T | None]) -> T | None:
        return next((value for one in self.policies if (value := said(one)) is not None), None)

    def _need(self, category: str) -> Need:
        said = [policy.consent[category] for policy in self.policies if category in policy.consent]
        return max(said or [USUAL_NEEDS[category]], key=NEEDS.index)

    def _outcome_window(self) -> timedelta:
        windows = [one.window for policy in self.policies for one in policy.suppressions]
        if LAST_ENGAGED in self.channel_preference:
            windows.append(ENGAGED_WITHIN)
        return max(windows, default=NO_WINDOW)
