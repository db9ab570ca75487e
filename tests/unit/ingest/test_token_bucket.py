"""A source keeps to its rate, whatever the size of its batches."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.token_bucket import TokenBucket


def test_a_second_s_worth_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(10, 100.0)
    assert [bucket.take(1, 100.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1, 100.0) == 0.1
    assert bucket.take(1, 100.2) == 0.0
    assert bucket.take(10, 105.0) == 0.0, "it holds no more than a second's worth"
    assert bucket.take(1, 105.0) > 0


def test_a_batch_above_the_rate_passes_and_is_paid_back() -> None:
    bucket = TokenBucket(10, 0.0)
    assert bucket.take(100, 0.0) == 0.0
    assert round(bucket.take(1, 0.0), 6) == 9.1
    assert bucket.take(1, 9.0) > 0
    assert bucket.take(1, 9.2) == 0.0


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 200)), min_size=1, max_size=60),
)
def test_never_more_than_the_rate_and_one_batch(rate: int, calls: list[tuple[float, int]]) -> None:
    bucket, now, taken = TokenBucket(rate, 0.0), 0.0, 0
    for pause, count in calls:
        now += pause
        wait = bucket.take(count, now)
        if wait == 0:
            taken += count
        else:
            assert bucket.take(count, now + wait + 1e-6) == 0.0, "who waits as told is let in"
            now += wait + 1e-6
            taken += count
    largest = max(count for _, count in calls)
    assert taken <= rate * now + max(rate, largest) + 1e-3
