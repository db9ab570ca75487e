"""What counts as Kafka being away."""

import asyncio

from aiokafka.errors import KafkaError

KAFKA_TROUBLE = (KafkaError, OSError, asyncio.TimeoutError)
"""Raised by the client for anything between it and the broker; all of it is worth another try."""
