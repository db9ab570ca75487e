"""An experiment: two or more arms, who takes part, what is measured and when it is enough.

Values only; `experiment_document.py` reads and checks the JSON form.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.conditions.tree import Condition

MetricKind = Literal["conversion", "count", "sum"]
KINDS: tuple[MetricKind, ...] = ("conversion", "count", "sum")
"""What becomes of a person's matching touchpoints: 1 if there is one, how many, or the sum of a
property."""
Better = Literal["higher", "lower"]
BETTER: tuple[Better, ...] = ("higher", "lower")


KEPT = timedelta(days=400)
"""So long an exposure, and what counts for it, is kept: longer than an experiment needs it."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of doing it. `weight` is its share of those who take part, in percent."""

    key: str
    weight: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One number for each person: from the touchpoints of a type that come after the exposure and
    within the `window`. `cap` bounds the number. With `before`, the same number of that long before
    the exposure takes noise out of it. `tolerance` is how much worse a guardrail may get."""

    key: str
    event: str
    where: Condition | None
    kind: MetricKind
    property: str | None
    window: timedelta
    better: Better
    cap: float | None
    before: timedelta | None
    tolerance: float


@dataclass(frozen=True, slots=True, eq=False)
class Experiment:
    """Arms are compared with `control`, the first one. `traffic` is how many percent of the layer
    take part. The winner is called once `sample` people have been seen for the whole window of the
    primary metric, and not before `min_runtime`."""

    key: str
    version: int
    layer: str
    salt: str
    traffic: float
    arms: tuple[Arm, ...]
    primary: Metric
    secondary: tuple[Metric, ...]
    guardrails: tuple[Metric, ...]
    sample: int
    min_runtime: timedelta
    confidence: float
    stop_on_harm: bool
    apply_winner: bool

    @property
    def control(self) -> str:
        """The key of the arm that the others are compared with."""
        return self.arms[0].key

    @property
    def weights(self) -> dict[str, float]:
        """The weights by arm, in percent."""
        return {arm.key: arm.weight for arm in self.arms}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All of them, the primary one first."""
        return (self.primary, *self.secondary, *self.guardrails)
