"""Which topics exist and how many partitions they have; creates the ones that are asked for."""

import asyncio
import logging
from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient

from shared import clock
from shared.contracts.topics import DEAD_LETTERS, Topics, default_topics, spec_of
from shared.errors import Infrastructure
from shared.kafka.errors import KAFKA_TROUBLE
from shared.kafka.factory import build_admin
from shared.kafka.messages import PartitionCounts
from shared.kafka.topics import create_topics

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
SILENT_SECONDS = 5.0
"""Without an answer for this long Kafka counts as away."""
ENSURE_SECONDS = 5.0
"""For so long it is waited for topics that are wanted now."""
LOOK_SECONDS = 0.1
DEFAULT_PARTITIONS = 8


class Catalogue:
    """A live view of the broker's topics under the deployment's prefix."""

    def __init__(
        self, bootstrap: str, *, client_id: str, topics: Topics, replication: int = 1
    ) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._topics = topics
        self._replication = replication
        self._admin: AIOKafkaAdminClient | None = None
        self.counts = PartitionCounts()
        self.known: dict[str, int] = {}
        self._answered_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def check(self) -> None:
        """For readiness: raises Infrastructure when Kafka has not answered of late."""
        if self._answered_at is None:
            raise Infrastructure("kafka", "no answer yet")
        silent = clock.monotonic_seconds() - self._answered_at
        if silent > SILENT_SECONDS:
            raise Infrastructure("kafka", f"no answer for {silent:.0f} s")

    async def run(self, stopping: asyncio.Event) -> None:
        """Refresh until told to stop; a broker that is away is tried again."""
        while not stopping.is_set():
            try:
                await self.refresh()
            except Infrastructure as error:
                logger.warning("topics could not be listed: %s", error)
            try:
                await asyncio.wait_for(stopping.wait(), REFRESH_SECONDS)
            except TimeoutError:
                continue
        await self.close()

    async def ensure(self, topics: Iterable[str]) -> None:
        """Make what is missing of these topics, and wait until it is there.

        When Kafka is away it is only said, after a few seconds: the catalogue goes on trying.
        """
        wanted = set(topics)
        if wanted <= self.known.keys():
            return
        self.counts.missing.update(wanted - self.known.keys())
        try:
            async with asyncio.timeout(ENSURE_SECONDS):
                await self.refresh()
                while not wanted <= self.known.keys():
                    await asyncio.sleep(LOOK_SECONDS)
                    await self.refresh()
        except (Infrastructure, TimeoutError) as error:
            absent = ", ".join(sorted(wanted - self.known.keys()))
            logger.warning("topics are not there yet: %s: %s", absent, error or "no answer")

    async def refresh(self) -> None:
        """Read the topics, then create those that a message was meant for and that are missing.

        Raises Infrastructure when Kafka does not answer.
        """
        async with self._one_at_a_time:
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            admin = await self._started()
            self._read(await admin.describe_topics())
            if self.counts.missing:
                await self._create(admin, sorted(self.counts.missing))
                self._read(await admin.describe_topics())
        except KAFKA_TROUBLE as error:
            await self.close()
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _started(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = build_admin(self._bootstrap, client_id=self._client_id)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    def _read(self, described: list[dict[str, object]]) -> None:
        known: dict[str, int] = {}
        for topic in described:
            name, partitions = topic["topic"], topic["partitions"]
            if not isinstance(name, str) or not isinstance(partitions, list):
                raise Infrastructure("kafka", "the broker's topic list cannot be read")
            if name.startswith(self._topics.prefix) and partitions and not topic["error_code"]:
                known[name] = len(partitions)
        for name, count in known.items():
            before = self.known.get(name)
            if before is not None and before != count:
                logger.error("topic %s went from %d to %d partitions", name, before, count)
        self.known = known
        self.counts.update(known)
        self._answered_at = clock.monotonic_seconds()

    async def _create(self, admin: AIOKafkaAdminClient, names: list[str]) -> None:
        known = {spec.name: spec for spec in default_topics()}
        bare = [name.removeprefix(self._topics.prefix) for name in names]
        await create_topics(
            admin,
            [known.get(name) or spec_of(name) for name in bare],
            prefix=self._topics.prefix,
            partitions={name: self._partitions(name) for name in bare},
            replication=self._replication,
        )

    def _partitions(self, name: str) -> int:
        """Dead letters have as many partitions as the topic they come from."""
        origin = self._topics.prefix + name.removesuffix(DEAD_LETTERS)
        return self.known.get(origin, DEFAULT_PARTITIONS)
