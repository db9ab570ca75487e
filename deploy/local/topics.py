"""Makes the topics that exist at start, with their sizes and retention.

What a topic is called and how large it may grow is spelled in `shared.contracts.topics`. A topic
that exists is left as it is.
"""

from collections.abc import Sequence

from aiokafka.errors import KafkaError

from deploy.local.errors import StackError
from shared.contracts.topics import TopicSpec, default_topics
from shared.errors import Infrastructure
from shared.kafka.factory import build_admin
from shared.kafka.topics import create_topics as make

PARTITIONS = 8
COPIES = 3


async def create_topics(
    bootstrap: str,
    *,
    prefix: str,
    partitions: int = PARTITIONS,
    specs: Sequence[TopicSpec] | None = None,
) -> int:
    """Make the missing topics (all defaults unless `specs` says which); how many were made.

    Each is kept on three brokers, or on all when there are fewer. Raises StackError when Kafka
    does not answer or refuses one.
    """
    admin = build_admin(bootstrap, client_id="concert-setup")
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        chosen = default_topics() if specs is None else specs
        missing = [spec for spec in chosen if prefix + spec.name not in existing]
        if missing:
            brokers = (await admin.describe_cluster())["brokers"]
            copies = min(COPIES, len(brokers))
            await make(admin, missing, prefix=prefix, partitions=partitions, replication=copies)
        return len(missing)
    except (KafkaError, OSError, Infrastructure) as error:
        raise StackError(f"Kafka at {bootstrap} cannot make the topics: {error!r}") from error
    finally:
        await admin.close()


async def delete_topics(bootstrap: str, *, prefix: str) -> None:
    """Delete every topic under a prefix, which must not be empty. For tests that clean up."""
    if not prefix:
        raise ValueError("deleting every topic of a broker is never meant")
    admin = build_admin(bootstrap, client_id="concert-setup")
    try:
        await admin.start()
        names = [name for name in await admin.list_topics() if name.startswith(prefix)]
        if names:
            await admin.delete_topics(names)
    finally:
        await admin.close()
