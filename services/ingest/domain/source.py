"""The publisher of an event, and what ingest was told about it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from shared.contracts.topics import OWN_SOURCE
from shared.errors import InvalidData

DIALECTS = ("segment", "cloudevents", "native", "webhook")
Tracking = Literal["off", "warn", "reject"]
DEFAULT_TRUST = 50
WRONG_CHANNEL = "wrong_channel"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher. `id` is part of the id of each of its touchpoints, so it never changes; nor does
    `channel`, because its records may lie unread on that channel's topic.

    `dialect` is what its HTTP calls speak; a Kafka record shows its own. `default_region`
    (ISO 3166, two letters) completes national phone numbers, `subject_as` says which identifier
    type a CloudEvents subject is, `trust` (0 to 100) goes along with every touchpoint when it is
    not the default. `timezone` (IANA) is where times without an offset are read, `device` says
    that its clocks are customers' own, `max_age_seconds` how old an event may be, `mapping` how a
    webhook's body becomes an event, `tracking` what the tracking plan does to an event that breaks
    it, `events_per_second` what it may send over HTTP, `pii` which fields are personal data and of
    what class.
    """

    id: str
    name: str
    channel: str
    offline: bool = False
    dialect: str = "native"
    default_region: str | None = None
    subject_as: str | None = None
    trust: int = DEFAULT_TRUST
    timezone: str | None = None
    device: bool = False
    max_age_seconds: int | None = None
    mapping: dict[str, Any] | None = None
    tracking: Tracking = "off"
    events_per_second: int | None = None
    pii: dict[str, str] = {}


class Sources(msgspec.Struct, frozen=True):
    """The registered sources by id, and whether others may publish on Kafka.

    `missed` collects the names that were asked for and are not registered.
    """

    registered: Mapping[str, Source]
    allow_unregistered: bool
    missed: set[str] = msgspec.field(default_factory=set)

    def find(self, name: str, channel: str) -> Source:
        """The source called `name`; for an unregistered one, and for Concert itself, defaults and
        the given channel.

        `channel` is the topic's. Raises InvalidData `unknown_source` when only registered sources
        may publish, `wrong_channel` when the source is registered for another channel.
        """
        if name == OWN_SOURCE:
            return Source(id=name, name="Concert", channel=channel)
        known = self.registered.get(name)
        if known is not None:
            if known.channel != channel:
                raise InvalidData(
                    WRONG_CHANNEL,
                    f"the source {name!r} publishes on {known.channel!r}, this is {channel!r}",
                    "source",
                )
            return known
        self.missed.add(name)
        if self.allow_unregistered:
            return Source(id=name, name=name, channel=channel)
        raise InvalidData("unknown_source", f"no source {name!r} is registered", "source")
