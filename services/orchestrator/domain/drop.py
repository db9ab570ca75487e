"""Where a candidate stopped: the verdict of a gate."""

from dataclasses import dataclass

from shared.contracts.decision import CandidateDetail


@dataclass(frozen=True, slots=True)
class Drop:
    """Where a candidate stopped, the reason code, and what was asked for and seen."""

    stage: str
    reason: str
    condition: str
    expected: object = None
    actual: object = None

    def detail(self) -> CandidateDetail:
        """The same on the record."""
        return CandidateDetail(condition=self.condition, expected=self.expected, actual=self.actual)
