"""Holds each source to the events a second it may send over HTTP, in this process."""

import math

from services.ingest.domain.source import Source
from services.ingest.domain.token_bucket import TokenBucket
from shared import clock
from shared.errors import TooMany


class RateLimit:
    """A bucket for each source that has a limit; one of these for each process."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}

    def admit(self, source: Source, count: int) -> None:
        """Let `count` events pass. Raises TooMany when the source has to wait first."""
        limit = source.events_per_second
        if limit is None:
            self._buckets.pop(source.id, None)
            return
        now = clock.monotonic_seconds()
        bucket = self._buckets.get(source.id)
        if bucket is None or bucket.per_second != limit:
            bucket = self._buckets[source.id] = TokenBucket(limit, now)
        wait = bucket.take(count, now)
        if wait > 0:
            raise TooMany(f"This source may send {limit} events a second.", math.ceil(wait))
