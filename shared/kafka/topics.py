"""Creates topics, and reads the broker's answer for each: the client library does not."""

from collections.abc import Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.contracts.topics import TopicSpec
from shared.errors import Infrastructure


async def create_topics(
    admin: AIOKafkaAdminClient,
    specs: Sequence[TopicSpec],
    *,
    prefix: str,
    partitions: int | Mapping[str, int],
    replication: int,
) -> None:
    """Create topics; one that is there already is as good.

    `partitions` is for all topics, or by bare name. Raises Infrastructure when the broker refuses
    one, and the client's errors when it does not answer.
    """
    wanted = [
        NewTopic(
            name=prefix + spec.name,
            num_partitions=partitions if isinstance(partitions, int) else partitions[spec.name],
            replication_factor=replication,
            topic_configs=spec.configuration(),
        )
        for spec in specs
    ]
    response = await admin.create_topics(wanted)
    for topic, code, *_ in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise Infrastructure("kafka", f"topic {topic} cannot be made: {error.__name__}")
