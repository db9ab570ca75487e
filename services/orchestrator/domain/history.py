"""What Concert did for a profile so far, as far as a decision depends on it.

Values only: they are read from the database before a decision, and changed in memory while a batch
is decided. Instants are aware datetimes of the business clock.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.run import Run, Standing, Step


@dataclass(frozen=True, slots=True)
class Contact:
    """One reserved or made contact in the ledger; `at` is when it was or will be published,
    `household` the one that the profile belonged to when that was decided."""

    action_id: UUID
    at: datetime
    channel: str
    category: str
    topic: str | None
    group: str | None
    rule: str
    household: str | None = None


@dataclass(frozen=True, slots=True)
class InFlight:
    """An action that can still be taken back, or be followed by a fallback; `instead_of` is the one
    that it is a fallback of.

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
    kind: str = "send"
    score: float = 0.0
    instead_of: UUID | None = None
    step: Step | None = None
    """The step of a journey's run that asked for it, where one did."""

    @property
    def published(self) -> bool:
        """Whether the channel has it."""
        return self.sent_for is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action; `at` is when it happened. The scopes are those of its contact."""

    action_id: UUID
    outcome: str
    at: datetime
    channel: str
    category: str
    topic: str | None
    group: str | None
    rule: str


@dataclass(frozen=True, slots=True)
class Held:
    """The candidates of a touchpoint that wait until `ends_at` for others to compete with.

    `of` is the profile the touchpoint was about, `cause` its JSON, `rules` the keys of the rules.
    """

    touchpoint_id: str
    of: str
    held_at: datetime
    ends_at: datetime
    occurred_at: datetime
    cause: bytes
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """So much of a scarce resource, in the window that starts at an instant; `limit` is all that
    there is in the window."""

    resource: str
    window: datetime
    amount: float
    limit: float


@dataclass(slots=True)
class History:
    """Everything a decision about one profile needs to know of the past.

    `entries` maps (rule, entry key) to the last time the rule acted; `exits` maps an exit
    criterion to the latest touchpoint that met it; `acted` holds ids of actions that exist;
    `outcomes` is what became of actions, the newest last.
    `households` has the contacts with everybody of a household, where they count; all histories of
    a batch have the same one.
    """

    contacts: list[Contact] = field(default_factory=list)
    entries: dict[tuple[str, str], datetime] = field(default_factory=dict)
    exits: dict[str, datetime] = field(default_factory=dict)
    in_flight: dict[UUID, InFlight] = field(default_factory=dict)
    acted: set[UUID] = field(default_factory=set)
    outcomes: list[Outcome] = field(default_factory=list)
    households: "Households" = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    """By touchpoint: candidates that wait for the end of an arbitration window."""
    used: "Used" = field(default_factory=dict)
    """How much of scarce resources is used; all histories of a batch have the same one."""
    uses: dict[UUID, tuple[Use, ...]] = field(default_factory=dict)
    """What of it is reserved for actions of this profile."""
    runs: dict[UUID, Standing] = field(default_factory=dict)
    """The runs of the person that what happens can still matter to."""
    past_runs: list[Run] = field(default_factory=list)
    """The other runs of the person, as far as an entry at hand depends on them."""

    @property
    def under_way(self) -> int:
        """How much there is that a later update may end: actions in flight, held touchpoints and
        runs of journeys."""
        return len(self.in_flight) + len(self.held) + len(self.runs)

    def kin(self, household: str | None) -> list[Contact]:
        """The contacts with the others of a household."""
        if household is None or household not in self.households:
            return []
        own = {contact.action_id for contact in self.contacts}
        return [one for one in self.households[household].values() if one.action_id not in own]

    def reserve(self, contact: Contact) -> None:
        """A contact is planned or made."""
        self.contacts.append(contact)
        if contact.household is not None:
            self.households.setdefault(contact.household, {})[contact.action_id] = contact

    def give_back(self, action_id: UUID) -> None:
        """A contact does not happen."""
        self.contacts = [one for one in self.contacts if one.action_id != action_id]
        for use in self.uses.pop(action_id, ()):
            place = (use.resource, use.window)
            self.used[place] = max(0.0, self.used.get(place, 0.0) - use.amount)
        for contacts in self.households.values():
            contacts.pop(action_id, None)

    def spend(self, action_id: UUID, uses: tuple[Use, ...]) -> None:
        """An action takes so much of scarce resources."""
        for use in uses:
            place = (use.resource, use.window)
            self.used[place] = self.used.get(place, 0.0) + use.amount
        if uses:
            self.uses[action_id] = uses

    def move(self, action_id: UUID, at: datetime) -> None:
        """A contact happens at another instant than was planned."""
        moved = [
            replace(one, at=at) if one.action_id == action_id else one for one in self.contacts
        ]
        self.contacts = moved
        for contacts in self.households.values():
            if action_id in contacts:
                contacts[action_id] = replace(contacts[action_id], at=at)


Households = dict[str, dict[UUID, Contact]]
"""By the id of a household and of the action: the contacts with its people."""

Used = dict[tuple[str, datetime], float]
"""By the key of a resource and the start of a window of it: the amount that is reserved or used."""
