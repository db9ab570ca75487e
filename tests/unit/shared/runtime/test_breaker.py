"""The breaker trips on a row of failures or a high share of them, not on a lone one."""

from shared.runtime.breaker import CONSECUTIVE, SHARE, WINDOW, Breaker


def test_a_lone_failure_does_not_trip() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.passed(100)
        assert not breaker.failed()


def test_a_row_of_failures_trips() -> None:
    breaker = Breaker()
    answers = [breaker.failed() for _ in range(CONSECUTIVE)]
    assert answers == [False] * (CONSECUTIVE - 1) + [True]


def test_a_high_share_trips_although_some_pass_in_between() -> None:
    breaker = Breaker()
    tripped = 0
    for number in range(int(WINDOW * SHARE) + 1):
        breaker.passed(1)
        if breaker.failed():
            tripped = number
            break
    assert tripped == int(WINDOW * SHARE) - 1
