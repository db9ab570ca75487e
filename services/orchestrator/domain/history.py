"""What Concert did for a profile so far, as far as a decision depends on it.

Values only: they are read from the database before a decision, and changed in memory while a batch
is decided. Instants are aware datetimes of the business clock.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Contact:
    """One reserved or made contact in the ledger; `at` is when it was or will be published."""

    action_id: UUID
    at: datetime
    channel: str
    category: str
    topic: str | None
    group: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """An action that can still be taken back.

    `cause` is the JSON of the touchpoint that asked for it, `occurred_at` its instant. `sent_for`
    is the profile id its message was published under, None while it waits; a merge does not change
    it, so that a retraction follows the message on the same partition.
    """

    action_id: UUID
    rule: str
    entry_key: str
    channel: str
    category: str
    topic: str | None
    sent_for: str | None
    occurred_at: datetime
    cause: bytes
    gen: int

    @property
    def published(self) -> bool:
        """Whether the channel has it."""
        return self.sent_for is not None


@dataclass(slots=True)
class History:
    """Everything a decision about one profile needs to know of the past.

    `entries` maps (rule, entry key) to the last time the rule acted; `exits` maps an exit
    criterion to the latest touchpoint that met it; `acted` holds ids of actions that exist.
    """

    contacts: list[Contact] = field(default_factory=list)
    entries: dict[tuple[str, str], datetime] = field(default_factory=dict)
    exits: dict[str, datetime] = field(default_factory=dict)
    in_flight: dict[UUID, InFlight] = field(default_factory=dict)
    acted: set[UUID] = field(default_factory=set)
