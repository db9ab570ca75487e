"""Whether the arms have as many people as their weights say.

If not, something that belongs to the arms decides who is counted (a crash in one of them, a filter
after the split, exposures lost on one channel), and no effect can be read: Fabijan et al. 2019,
"Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD. Pearson's chi-square test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.domain.experiments.distributions import chi_square_survival

ALARM = 0.001
"""Below this probability it is taken for a fault: so rarely that looking every day is no harm."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """People by arm, how many there should be, and how likely a difference of that size is."""

    counted: Mapping[str, int]
    expected: Mapping[str, float]
    chi_square: float
    p: float

    @property
    def alarm(self) -> bool:
        """Whether no effect may be read."""
        return self.p < ALARM


def sample_ratio(counted: Mapping[str, int], weights: Mapping[str, float]) -> SampleRatio:
    """The check of the people counted by arm against the weights of these arms.

    People in an arm without a weight are a mismatch by themselves: p is 0.
    """
    everybody, weight = sum(counted.values()), sum(weights.values())
    expected = {arm: everybody * own / weight for arm, own in weights.items() if own > 0.0}
    if any(people for arm, people in counted.items() if arm not in expected):
        return SampleRatio(counted, expected, float("inf"), 0.0)
    if not everybody or len(expected) < 2:
        return SampleRatio(counted, expected, 0.0, 1.0)
    found = sum((counted.get(arm, 0) - many) ** 2 / many for arm, many in expected.items())
    return SampleRatio(counted, expected, found, chi_square_survival(found, len(expected) - 1))
