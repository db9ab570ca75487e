"""The only place that builds Kafka clients, so that every one has the settings we rely on.

aiokafka's own defaults start at the end of a topic, commit by themselves and take `acks=1`;
a lint rule forbids its constructors everywhere else.
"""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.topics import DEAD_LETTER_MAX_BYTES

REQUEST_TIMEOUT_MS = 15_000
FETCH_MAX_BYTES = 32 * 1024 * 1024
PARTITION_FETCH_BYTES = 4 * 1024 * 1024
"""Larger than the largest record of any topic we read, or a consumer could never pass it."""
FETCH_MIN_BYTES = 64 * 1024
FETCH_MAX_WAIT_MS = 50
"""A fetch is answered with that many bytes, or after that time. Answered at the first record, a
steady trickle costs a request for every few records, each over all partitions: at 1,800 events/s
that took twice the CPU in the ingest worker and four times the latency (docs/benchmarks.md)."""
MAX_REQUEST_BYTES = DEAD_LETTER_MAX_BYTES + 64 * 1024
METADATA_MAX_AGE_MS = 10_000


def build_consumer(bootstrap: str, *, group: str | None, client_id: str) -> AIOKafkaConsumer:
    """A consumer for assigned partitions.

    `group` only names where positions are mirrored for lag tools; partitions are assigned by
    leases. It never starts anywhere by itself, never commits by itself and decodes nothing.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id=client_id,
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_bytes=FETCH_MAX_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_min_bytes=FETCH_MIN_BYTES,
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        retry_backoff_ms=100,
    )


def build_producer(bootstrap: str, *, client_id: str) -> AIOKafkaProducer:
    """An idempotent producer that waits for all in-sync replicas."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_REQUEST_BYTES,
        max_batch_size=MAX_REQUEST_BYTES,
        linger_ms=0,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        retry_backoff_ms=100,
    )


def build_admin(bootstrap: str, *, client_id: str) -> AIOKafkaAdminClient:
    """An admin client, for topic metadata and the creation of topics."""
    return AIOKafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
