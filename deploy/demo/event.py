"""One thing that a customer did, before it is put into the words of its channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from deploy.demo.configuration import SOURCES
from shared.ids import touchpoint_id

Identifiers = Mapping[str, str]
"""Identifier type to value, as the channel knows the customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`id` is fixed, so sending it again changes nothing; it happened `ago` before the demo."""

    channel: str
    id: str
    type: str
    ago: timedelta
    who: Identifiers
    traits: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Who publishes it."""
        return str(SOURCES[self.channel]["id"])

    @property
    def touchpoint_id(self) -> UUID:
        """The id that Concert gives it."""
        return touchpoint_id(self.source, self.id)
