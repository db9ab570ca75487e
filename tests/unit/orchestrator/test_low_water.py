"""From where a poller looks for due timers."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.orchestrator.storage.timers import Due, Fired
from services.orchestrator.use_cases import low_water
from services.orchestrator.use_cases.low_water import FULL_SECONDS, MARGIN, LowWater

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOBODY = UUID(int=0)


class Seconds:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic_seconds(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    fake = Seconds()
    monkeypatch.setattr(low_water, "clock", fake)
    return fake


def due(minute: int) -> Due:
    return Due(NOON + timedelta(minutes=minute), minute, str(NOBODY))


def fired(minute: int) -> Fired:
    return Fired(NOON + timedelta(minutes=minute), minute, "run", str(NOBODY), NOBODY, 0)


def test_the_first_look_is_a_full_one(seconds: Seconds) -> None:
    low = LowWater()
    assert low.since() is None
    assert low.since() is None


def test_what_has_fired_is_passed_over(seconds: Seconds) -> None:
    low = LowWater()
    low.since()
    low.passed([due(1), due(2)], [fired(1), fired(2)])
    assert low.since() == low.mark == NOON + timedelta(minutes=2) - MARGIN


def test_what_was_left_is_not(seconds: Seconds) -> None:
    low = LowWater()
    low.since()
    low.passed([due(1), due(2), due(3)], [fired(2), fired(3)])
    assert low.since() == NOON + timedelta(minutes=1) - MARGIN


def test_now_and_then_it_looks_at_all(seconds: Seconds) -> None:
    low = LowWater()
    low.since()
    low.passed([due(1)], [fired(1)])
    seconds.now += FULL_SECONDS
    assert low.since() is None
    assert low.since() is not None
