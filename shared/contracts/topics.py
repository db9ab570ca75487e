"""Topic names, sizes and retention: the only place where a topic is spelled.

Names here carry no deployment prefix; `Topics` adds it. Nothing else may format a topic name.
"""

import re
from dataclasses import dataclass

DEFAULT_CHANNELS: dict[str, str] = {
    "web": "online",
    "app": "online",
    "email": "online",
    "sms": "online",
    "push": "online",
    "pos": "offline",
    "kiosk": "offline",
    "call_centre": "offline",
    "clienteling": "offline",
    "direct_mail": "offline",
}
OWN_CHANNEL = "concert"
"""The channel on which Concert publishes what it did itself (emitted events, profile updates)."""
OWN_SOURCE = "concert"
"""The source of events that Concert publishes itself, on any channel; nobody can register it."""

OWN_SOURCE = "concert"
"""The source of what Concert itself publishes, on whatever channel; nobody may register it."""

TOUCHPOINTS = "touchpoints"
PROFILE_UPDATES = "profile.updates"
DECISIONS = "decisions"

MEBIBYTE = 1024 * 1024
CHANNEL_MAX_BYTES = 2 * MEBIBYTE
DEAD_LETTER_MAX_BYTES = 3 * MEBIBYTE
OWN_MAX_BYTES = MEBIBYTE
EVENT_MAX_BYTES = 256 * 1024
"""A single event above this is dead-lettered as `too_large`."""

DEAD_LETTERS = ".dlq"
"""What the topic of a topic's dead letters has behind its name."""
DAY_MS = 86_400_000
CHANNEL_NAME = re.compile(r"[a-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic must look like on the broker; `name` is without the deployment prefix."""

    name: str
    max_message_bytes: int
    retention_ms: int
    timestamps: str = "CreateTime"
    """Who stamps a record: its producer, or the broker (`LogAppendTime`)."""

    def configuration(self) -> dict[str, str]:
        """The topic's settings, as the broker names them."""
        return {
            "max.message.bytes": str(self.max_message_bytes),
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": self.timestamps,
        }


@dataclass(frozen=True, slots=True)
class Topics:
    """Full topic names of one deployment. `prefix` is put in front of every name as it is."""

    prefix: str = ""

    def channel(self, channel: str) -> str:
        return f"{self.prefix}channel.{channel}"

    def actions(self, channel: str) -> str:
        return f"{self.prefix}actions.{channel}"

    @property
    def touchpoints(self) -> str:
        return self.prefix + TOUCHPOINTS

    @property
    def profile_updates(self) -> str:
        return self.prefix + PROFILE_UPDATES

    @property
    def decisions(self) -> str:
        return self.prefix + DECISIONS

    def dead_letters(self, topic: str) -> str:
        """The dead-letter topic of a full topic name."""
        return topic + DEAD_LETTERS

    def channel_of(self, topic: str) -> str | None:
        """The channel of a raw topic `channel.<channel>`; None for every other topic."""
        start = f"{self.prefix}channel."
        if not topic.startswith(start):
            return None
        channel = topic.removeprefix(start)
        return channel if CHANNEL_NAME.fullmatch(channel) else None

    def failing_channel_of(self, topic: str) -> str | None:
        """The channel whose dead letters a topic holds; None for every other topic."""
        if not topic.endswith(DEAD_LETTERS):
            return None
        return self.channel_of(topic.removesuffix(DEAD_LETTERS))


def max_message_bytes(topic: str) -> int:
    """Largest record, in bytes, that a topic of this (full or bare) name takes."""
    if topic.endswith(DEAD_LETTERS):
        return DEAD_LETTER_MAX_BYTES
    if "channel." in topic:
        return CHANNEL_MAX_BYTES
    return OWN_MAX_BYTES


def channel_topics(channel: str) -> list[TopicSpec]:
    """A channel's raw topic and its dead letters.

    The broker stamps raw records: that is when they were received, whatever a publisher claims.
    """
    name = f"channel.{channel}"
    return [
        TopicSpec(name, CHANNEL_MAX_BYTES, 7 * DAY_MS, "LogAppendTime"),
        TopicSpec(name + DEAD_LETTERS, DEAD_LETTER_MAX_BYTES, 7 * DAY_MS),
    ]


def spec_of(name: str) -> TopicSpec:
    """The spec of a topic that does not exist at start, by its bare name."""
    family, _, channel = name.removesuffix(DEAD_LETTERS).partition(".")
    if family == "channel":
        raw, dead = channel_topics(channel)
        return dead if name.endswith(DEAD_LETTERS) else raw
    return TopicSpec(name, max_message_bytes(name), 35 * DAY_MS)


def default_topics() -> list[TopicSpec]:
    """Every topic that exists at start: the default channels both ways and Concert's own."""
    specs: list[TopicSpec] = []
    for channel in (*DEFAULT_CHANNELS, OWN_CHANNEL):
        specs += channel_topics(channel)
    specs += [TopicSpec(f"actions.{name}", OWN_MAX_BYTES, 35 * DAY_MS) for name in DEFAULT_CHANNELS]
    specs.append(TopicSpec(TOUCHPOINTS, OWN_MAX_BYTES, 3 * DAY_MS))
    specs.append(TopicSpec(PROFILE_UPDATES, OWN_MAX_BYTES, 35 * DAY_MS))
    specs.append(TopicSpec(DECISIONS, OWN_MAX_BYTES, 35 * DAY_MS))
    for own in (TOUCHPOINTS, PROFILE_UPDATES):
        specs.append(TopicSpec(own + DEAD_LETTERS, DEAD_LETTER_MAX_BYTES, 7 * DAY_MS))
    return specs


def retention_of(topics: Topics, topic: str) -> int:
    """How long a record stays in a topic (full name) as Concert sets it up, in milliseconds."""
    name = topic.removeprefix(topics.prefix)
    known = {spec.name: spec for spec in default_topics()}
    return (known.get(name) or spec_of(name)).retention_ms
