"""Makes sure that the topics of channels exist before the configuration that names them is used.

Else the first message of a new channel would find no topic, and hold up every customer's answers
until there is one.
"""

from collections.abc import Awaitable, Callable, Iterable

from shared.contracts.topics import Topics
from shared.kafka.catalogue import Catalogue

Open = Callable[[Iterable[str]], Awaitable[None]]
"""Asks for the topics of these channels: where actions go, and where their outcomes come in."""


class OpenChannels:
    """Asks the catalogue for the topics of channels, both ways."""

    def __init__(self, catalogue: Catalogue, topics: Topics) -> None:
        self._catalogue = catalogue
        self._topics = topics

    async def __call__(self, channels: Iterable[str]) -> None:
        """Create what is missing, for all channels at once.

        When Kafka is away it is only said: the catalogue goes on trying by itself.
        """
        topics = self._topics
        await self._catalogue.ensure(
            topic for key in channels for topic in (topics.actions(key), *topics.incoming(key))
        )
