"""How often a link may be used."""

import pytest

from services.profile.api.throttle import MAX_KNOWN, Throttle
from shared.errors import TooMany


def test_so_many_uses_in_a_minute_and_then_again() -> None:
    now = 0.0
    throttle = Throttle(2, lambda: now)
    throttle.use("a")
    throttle.use("a")
    throttle.use("b")
    with pytest.raises(TooMany) as refused:
        throttle.use("a")
    assert refused.value.retry_after == 61
    now = 59.9
    with pytest.raises(TooMany) as refused:
        throttle.use("a")
    assert refused.value.retry_after == 1
    now = 60.0
    throttle.use("a")


def test_it_remembers_only_so_many() -> None:
    throttle = Throttle(1, lambda: 0.0)
    throttle.use("first")
    for number in range(MAX_KNOWN):
        throttle.use(str(number))
    throttle.use("first")
