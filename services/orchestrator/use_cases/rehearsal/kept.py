"""What of the profiles' updates is recorded, for those who go through it again."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from shared import clock
from shared.contracts.topics import Topics, retention_of
from shared.errors import Infrastructure
from shared.kafka.recorded import Recorded
from shared.kafka.records import Place


class RecordedUpdates:
    """The recorded updates of a deployment. `known` has the partitions of each topic."""

    def __init__(
        self,
        bootstrap: str,
        *,
        client_id: str,
        topics: Topics,
        known: Callable[[], Mapping[str, int]],
    ) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._topics = topics
        self._known = known

    def open(self) -> Recorded:
        """A reader of them, to be stopped. Raises Infrastructure before the topics are known."""
        topic = self._topics.profile_updates
        count = self._known().get(topic, 0)
        if not count:
            raise Infrastructure("kafka", f"topic {topic} is not known yet")
        places = tuple(Place(topic, partition) for partition in range(count))
        return Recorded(self._bootstrap, client_id=self._client_id, places=places)

    async def kept_since(self) -> datetime:
        """The first instant from which on all of them are kept. Raises Infrastructure."""
        reader = self.open()
        now = clock.unix_milliseconds()
        retention = retention_of(self._topics, self._topics.profile_updates)
        try:
            at = await reader.kept_since(retention, now)
        finally:
            await reader.stop()
        return datetime.fromtimestamp(at / 1000, UTC)
