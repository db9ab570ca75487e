"""Suppression by outcome: what a customer did with earlier actions silences others for a while."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.orchestrator.domain.history import Contact, Outcome
from shared.conditions.duration import duration_in_words


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Since which outcomes, the oldest first, and until when."""

    outcomes: tuple[Outcome, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Suppression:
    """`count` actions with the outcome (on a channel, if given) within `within` silence what has
    the same `per` as they (None: everything) for `length` after the last of them, on all
    channels. `categories` says which actions it silences; None: all of them."""

    outcome: str
    count: int
    within: timedelta
    length: timedelta
    per: str | None = None
    channel: str | None = None
    categories: frozenset[str] | None = None

    @property
    def window(self) -> timedelta:
        """No outcome older than this matters."""
        return self.within + self.length

    def concerns(self, contact: Contact) -> bool:
        """Whether any outcome at all could silence the contact."""
        if self.categories is not None and contact.category not in self.categories:
            return False
        return self.per is None or getattr(contact, self.per) is not None

    def hit(self, contact: Contact, outcomes: Iterable[Outcome], at: datetime) -> Suppressed | None:
        """Whether a contact that is considered at an instant is silenced."""
        if not self.concerns(contact):
            return None
        told = [one for one in outcomes if self._counts(one, contact)]
        told.sort(key=lambda one: one.at, reverse=True)
        for place, last in enumerate(told):
            until = min(last.at, at) + self.length
            if until <= at:
                return None
            run: dict[UUID, Outcome] = {}
            for one in told[place:]:
                if last.at - one.at < self.within and len(run) < self.count:
                    run.setdefault(one.action_id, one)
            if len(run) == self.count:
                return Suppressed(tuple(reversed(run.values())), until)
        return None

    def _counts(self, one: Outcome, contact: Contact) -> bool:
        if one.outcome != self.outcome or self.channel not in (None, one.channel):
            return False
        if self.per is None:
            return True
        return bool(getattr(one, self.per) == getattr(contact, self.per))

    def words(self) -> str:
        """The suppression as a person would say it."""
        actions = "1 action" if self.count == 1 else f"{self.count} actions"
        where = "" if self.channel is None else f" on {self.channel}"
        same = "" if self.per is None else f" of the same {self.per}"
        within = "" if self.count == 1 else f" within {duration_in_words(self.within)}"
        return (
            f"not {duration_in_words(self.length)} after {actions}{same}{where} "
            f"{'was' if self.count == 1 else 'were'} {self.outcome}{within}"
        )
