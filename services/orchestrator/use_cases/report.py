"""Counts what was decided, after it was committed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.record import deciding_stage
from services.orchestrator.domain.update import Moment
from shared import clock
from shared.observability import metrics


class Counting(Protocol):
    """Hears what is decided while it is."""

    def decided(
        self, moment: Moment | None, outcome: str, considered: Sequence[Considered] = ()
    ) -> None: ...
    def heard(self, outcome: str, result: str) -> None: ...


@dataclass(slots=True)
class Report:
    """What a batch did, as the metrics see it."""

    decisions: list[tuple[str, str]] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    heards: list[tuple[str, str]] = field(default_factory=list)
    missing: int = 0

    def decided(
        self, moment: Moment | None, outcome: str, considered: Sequence[Considered] = ()
    ) -> None:
        """Count a decision; `moment` is the live touchpoint that caused it, if one did."""
        self.decisions.append((outcome, deciding_stage(considered)))
        if moment is None or moment.cause.historical:
            return
        received = moment.cause.received
        if received is not None:
            self.received.append(received.timestamp())

    def heard(self, outcome: str, result: str) -> None:
        """Count a delivery event, and whether it changed anything."""
        self.heards.append((outcome, result))

    def late(self, delays: Iterable[timedelta]) -> None:
        """Note by how much fired timers were late."""
        self.delays.extend(max(0.0, delay.total_seconds()) for delay in delays)

    def count(self, effects: Effects) -> None:
        """Move the metrics; only after the commit."""
        for outcome, stage in self.decisions:
            metrics.DECISIONS.labels(outcome=outcome, stage=stage).inc()
        now = clock.unix_seconds()
        for received in self.received:
            metrics.EVENT_TO_DECISION.observe(max(0.0, now - received))
        for message in effects.messages:
            if message.channel is not None:
                channel = metrics.channel_label(message.channel)
                metrics.ACTIONS.labels(channel=channel, kind=message.kind).inc()
        for delay in self.delays:
            metrics.TIMER_FIRE_DELAY.observe(delay)
        for outcome, result in self.heards:
            metrics.DELIVERY_EVENTS.labels(outcome=outcome, result=result).inc()
        if effects.taken_back:
            metrics.RETRACTIONS.inc(len(effects.taken_back))
        if self.missing:
            metrics.SEQUENCE_GAPS.inc(self.missing)
