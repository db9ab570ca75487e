"""How much a source may send: so many events a second, with a second's worth at once."""


class TokenBucket:
    """Fills by `per_second` and holds as much. Times are monotonic seconds.

    A batch larger than what it holds passes when it is full, and what is missing is paid back
    before the next: so the rate holds whatever the size of the batches.
    """

    def __init__(self, per_second: int, now: float) -> None:
        self.per_second = per_second
        self._tokens = float(per_second)
        self._filled_at = now

    def take(self, count: int, now: float) -> float:
        """Take `count` tokens and return 0, or take none and return after how many seconds to try
        again.
        """
        passed = max(0.0, now - self._filled_at)
        self._tokens = min(self.per_second, self._tokens + passed * self.per_second)
        self._filled_at = now
        missing = min(count, self.per_second) - self._tokens
        if missing > 0:
            return missing / self.per_second
        self._tokens -= count
        return 0.0
