"""Makes sure that the topic of a channel exists before its first event comes."""

import logging

from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.catalogue import Catalogue

logger = logging.getLogger(__name__)


class OpenChannel:
    """Asks the catalogue for the topics of a channel."""

    def __init__(self, catalogue: Catalogue, topics: Topics) -> None:
        self._catalogue = catalogue
        self._topics = topics

    async def __call__(self, channel: str) -> None:
        """Create what is missing of `channel.<channel>` and its dead letters.

        When Kafka is away it is only said: the catalogue goes on trying by itself.
        """
        topic = self._topics.channel(channel)
        wanted = {topic, self._topics.dead_letters(topic)} - self._catalogue.known.keys()
        if not wanted:
            return
        self._catalogue.counts.missing.update(wanted)
        try:
            await self._catalogue.refresh()
        except Infrastructure as error:
            logger.warning("the topic of a new channel is not there yet: %s", error)
