"""What is learned while deciding: prices of scarce resources, and how often people say yes.

The propensity is a Beta-Binomial estimate. The document's figure counts as STRENGTH contacts; what
all channels and personas of the rule showed moves it to the rule's own mean, and that counts as
STRENGTH contacts for each (channel, persona). So a figure of few contacts stays near its parent's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STRENGTH = 20.0
"""How many contacts a parent's mean is worth."""

YES = frozenset({"clicked", "accepted", "redeemed"})
"""Outcomes that say the customer took it."""

NO = frozenset({"declined", "ignored", "complained"})
"""Outcomes that say the customer did not; a later yes still counts. Everything else says nothing:
delivered and opened are not yet an answer, bounced and failed were never seen. An action that was
published and expired without a yes counts as a no."""

Counts = Mapping[str, Mapping[tuple[str, str], tuple[int, int]]]
"""By rule, then channel and persona: how many were shown, and how many of them taken."""


@dataclass(frozen=True, slots=True)
class Propensity:
    """An estimate with the Beta distribution it is the mean of; `source` is learned or stated."""

    p: float
    alpha: float
    beta: float
    source: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """Prices by resource, in money for one of it, and what was counted of the actions."""

    prices: Mapping[str, float] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    totals: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def propensity(self, rule: str, channel: str, persona: str, stated: float) -> Propensity:
        """How likely it is that somebody of a persona takes what a rule does on a channel.

        1 means that the rule does not estimate it: then it stays 1.
        """
        shown, taken = self.totals.get(rule, (0, 0))
        if stated >= 1.0 or not shown:
            return Propensity(stated, STRENGTH * stated, STRENGTH * (1.0 - stated), "stated")
        mean = (STRENGTH * stated + taken) / (STRENGTH + shown)
        shown, taken = self.counts[rule].get((channel, persona), (0, 0))
        alpha = STRENGTH * mean + taken
        beta = STRENGTH * (1.0 - mean) + shown - taken
        return Propensity(alpha / (alpha + beta), alpha, beta, "learned")

    def of(self, rules: Iterable[str], persona: str) -> "Estimates":
        """As much of it as decisions about these rules and this persona depend on."""
        learned = {rule: self.counts[rule] for rule in rules if rule in self.counts}
        return Estimates(
            prices=self.prices,
            counts={
                rule: {place: count for place, count in counts.items() if place[1] == persona}
                for rule, counts in learned.items()
            },
            totals={rule: self.totals[rule] for rule in learned},
        )


def totals_of(counts: Counts) -> dict[str, tuple[int, int]]:
    """The sums over all channels and personas of each rule."""
    return {
        rule: (
            sum(shown for shown, _ in by_place.values()),
            sum(taken for _, taken in by_place.values()),
        )
        for rule, by_place in counts.items()
    }


def verdict(outcome: str) -> bool | None:
    """Whether an outcome says that the customer took it; None when it says nothing."""
    if outcome in YES:
        return True
    return False if outcome in NO else None
