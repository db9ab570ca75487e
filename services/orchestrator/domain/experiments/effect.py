"""The effect of an arm on one metric: how much more than the control, and how sure that is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.domain.experiments.cuped import adjust
from services.orchestrator.domain.experiments.experiment import MetricKind
from services.orchestrator.domain.experiments.intervals import (
    Interval,
    newcombe,
    newcombe_p,
    relative,
    welch,
    welch_p,
)
from services.orchestrator.domain.experiments.sequential import FEWEST, sequence, share_error
from services.orchestrator.domain.experiments.tally import Moments, Tally

TOO_GOOD = 0.3
"""A lift beyond this, either way, is more often a fault of the measurement than a finding."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: how many people, and the mean of the metric."""

    n: int
    mean: float


@dataclass(frozen=True, slots=True)
class Effect:
    """`difference` is that of the means, `fixed` its interval for one look at a size that was
    fixed before, `sequential` its interval for any number of looks (None with too few people), `p`
    the level at which `fixed` touches zero. `lift` is relative to the control. `reduction` is the
    share of the variance that the covariate took out; `suspicious` means too good to be true."""

    control: Side
    arm: Side
    difference: float
    fixed: Interval
    p: float
    sequential: Interval | None
    lift: float | None
    lift_interval: Interval | None
    reduction: float

    @property
    def suspicious(self) -> bool:
        """Twyman's law: any figure that looks interesting is usually wrong."""
        return self.lift is not None and self.fixed.excludes_zero and abs(self.lift) > TOO_GOOD


def effects(
    tallies: Mapping[str, Tally],
    *,
    control: str,
    kind: MetricKind,
    planned: int,
    alpha: float,
    alpha_any_time: float,
) -> dict[str, Effect]:
    """The effect of every arm but the control; none where either has fewer than two people.

    `alpha` is the level of the fixed intervals, `alpha_any_time` that of the sequential ones;
    `planned` is how many people all arms together should have when the winner is called.
    """
    if tallies[control].n < 2:
        return {}
    counted = {arm: tally for arm, tally in tallies.items() if tally.n >= 2}
    adjusted = adjust(counted)
    plain = {arm: tally.moments for arm, tally in counted.items()}
    moments = plain if adjusted is None else adjusted.moments
    found = {}
    everybody = sum(tally.n for tally in counted.values())
    for arm in counted:
        if arm == control:
            continue
        both = (counted[control], counted[arm])
        seen = both[0].n + both[1].n
        fixed, p, error = _difference(
            both, (moments[control], moments[arm]), alpha, kind == "conversion" and not adjusted
        )
        difference = moments[arm].mean - moments[control].mean
        ratio = relative(moments[control], moments[arm], alpha)
        found[arm] = Effect(
            control=Side(both[0].n, plain[control].mean),
            arm=Side(both[1].n, plain[arm].mean),
            difference=difference,
            fixed=fixed,
            p=p,
            sequential=sequence(
                difference,
                error,
                seen,
                planned=max(1, round(planned * seen / everybody)),
                alpha=alpha_any_time,
            )
            if min(both[0].n, both[1].n) >= FEWEST
            else None,
            lift=None if ratio is None else moments[arm].mean / moments[control].mean - 1.0,
            lift_interval=ratio,
            reduction=0.0 if adjusted is None else adjusted.reduction,
        )
    return found


def _difference(
    both: tuple[Tally, Tally], moments: tuple[Moments, Moments], alpha: float, are_shares: bool
) -> tuple[Interval, float, float]:
    """The fixed interval, its p, and the standard error for the sequential one."""
    control, arm = moments
    if are_shares:
        shares = (both[0].total, both[0].n), (both[1].total, both[1].n)
        return newcombe(*shares, alpha), newcombe_p(*shares), share_error(*shares)
    error = math.sqrt(control.squared_error + arm.squared_error)
    return welch(control, arm, alpha), welch_p(control, arm), error
