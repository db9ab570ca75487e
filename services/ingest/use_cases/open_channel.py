"""Makes sure that the topic of a channel exists before its first event comes."""

from shared.contracts.topics import Topics
from shared.kafka.catalogue import Catalogue


class OpenChannel:
    """Asks the catalogue for the topics of a channel."""

    def __init__(self, catalogue: Catalogue, topics: Topics) -> None:
        self._catalogue = catalogue
        self._topics = topics

    async def __call__(self, channel: str) -> None:
        """Create what is missing of `channel.<channel>` and its dead letters.

        When Kafka is away it is only said: the catalogue goes on trying by itself.
        """
        await self._catalogue.ensure(self._topics.incoming(channel))
