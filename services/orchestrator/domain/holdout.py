"""Holdouts: so many percent of all people never get something, so that its effect can be measured.

Who they are is decided by a hash alone: the same person is on the same side for ever, on every
channel, and more percent only add people. The person is the profile that stands for them; a merge
keeps the oldest one.
"""

from dataclasses import dataclass

from services.orchestrator.domain.buckets import BUCKETS, bucket
from services.orchestrator.domain.rule import Holdout

RULE = "rule"
"""The layer of the holdouts of rules: two rules with the same salt leave out the same people."""
UNIVERSAL = "universal"
"""The layer of the holdouts of contact policies, which leave people out of all marketing."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """On which side of a holdout a person is."""

    layer: str
    holdout: Holdout
    bucket: int

    @property
    def held_out(self) -> bool:
        """Whether the person is one of those left out."""
        return self.bucket < threshold(self.holdout)


def threshold(holdout: Holdout) -> int:
    """The number of buckets that are left out: the lowest ones."""
    return round(holdout.percent * BUCKETS / 100)


def name_of(layer: str, holdout: Holdout) -> str:
    """Under which name exposures to the holdout are kept; no experiment can have it."""
    return f"{layer}:{holdout.salt}"


def exposure(holdout: Holdout, layer: str, unit: str) -> Exposure:
    """On which side of the holdout the person `unit` is."""
    return Exposure(layer, holdout, bucket(holdout.salt, layer, unit))
