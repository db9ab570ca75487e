"""Exposures: the first one counts, and who was in two arms is left out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.orchestrator.domain.experiments.exposure import Exposure, Place, first

AT = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SEEN = Exposure("cart-test", "p", "push", 1, AT, 5, 1, Place("rule", "cart-abandon"))


def test_the_first_exposure_counts() -> None:
    later = replace(SEEN, at=AT + DAY, seq=9, place=Place("touchpoint", "web", "hero"))
    assert first(SEEN, later) == first(later, SEEN) == first(SEEN, SEEN) == SEEN


def test_who_was_in_two_arms_is_mixed_for_good() -> None:
    moved = replace(SEEN, at=AT + DAY, seq=9, arm="control", phase=2)
    mixed = first(SEEN, moved)
    assert mixed == replace(SEEN, mixed=True)
    assert first(mixed, replace(SEEN, at=AT + 2 * DAY)).mixed
    merged = replace(SEEN, profile_id="older", at=AT - DAY, arm="control")
    assert first(SEEN, merged) == replace(merged, mixed=True)
