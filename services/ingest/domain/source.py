"""The publisher of an event, and what ingest was told about it."""

from collections.abc import Mapping

import msgspec

from shared.errors import InvalidData

DIALECTS = ("segment", "cloudevents", "native")
DEFAULT_TRUST = 50


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher. `id` is part of the id of each of its touchpoints, so it never changes.

    `dialect` is what its HTTP calls speak; a Kafka record shows its own. `default_region`
    (ISO 3166, two letters) completes national phone numbers, `subject_as` says which identifier
    type a CloudEvents subject is, `trust` (0 to 100) goes along with every touchpoint when it is
    not the default.
    """

    id: str
    name: str
    channel: str
    offline: bool = False
    dialect: str = "native"
    default_region: str | None = None
    subject_as: str | None = None
    trust: int = DEFAULT_TRUST


class Sources(msgspec.Struct, frozen=True):
    """The registered sources by id, and whether others may publish on Kafka."""

    registered: Mapping[str, Source]
    allow_unregistered: bool

    def find(self, name: str, channel: str) -> Source:
        """The source called `name`; for an unregistered one, defaults and the given channel.

        Raises InvalidData `unknown_source` when only registered sources may publish.
        """
        known = self.registered.get(name)
        if known is not None:
            return known
        if self.allow_unregistered:
            return Source(id=name, name=name, channel=channel)
        raise InvalidData("unknown_source", f"no source {name!r} is registered", "source")
