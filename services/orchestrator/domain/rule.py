"""A rule: what triggers it, for whom it is good, and what it then does; frozen, checked values.

This module only says what a rule is; `rule_document.py` reads and checks the JSON form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.orchestrator.domain.content import Content
from shared.conditions.tree import Condition

ReEntryMode = Literal["always", "after_exit", "never"]
ACTION_KINDS: Mapping[str, str] = {
    "message": "send", "webhook": "send", "task": "task", "prompt": "prompt",
}  # fmt: skip
"""From the type of an action in a rule to the kind of the message on the channel's topic."""

QUEUE = "queue"
"""The one field of the content that names a task's queue."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event of this type for which `where` holds, not older than `max_age` when received;
    records of file loads (`historical`) only when the rule says so."""

    event: str
    where: Condition | None
    max_age: timedelta
    historical: bool


@dataclass(frozen=True, slots=True)
class EngagementPolicy:
    """May they ever (eligibility), is it relevant now (applicability), is it good for them."""

    eligibility: Condition | None
    applicability: Condition | None
    suitability: Condition | None


@dataclass(frozen=True, slots=True)
class ReEntry:
    """Whether the rule may act again for a profile, and for the same value of the attribute
    `key`: always; only after what it did is over; never. Not before `cooldown` has passed."""

    mode: ReEntryMode
    cooldown: timedelta
    key: str | None


@dataclass(frozen=True, slots=True)
class Worth:
    """The factors of the score; `context` lists conditions with their weights in percent."""

    propensity: float
    value: float
    context: tuple[tuple[Condition, float], ...]
    lever: float


@dataclass(frozen=True, slots=True, eq=False)
class ActionSpec:
    """One thing to do: on which channel, with what content, how long after, and until when."""

    type: str
    channel: str
    template: str | None
    content: Content | None
    locale: str | None
    queue: Content | None
    delay: timedelta
    expires_in: timedelta

    @property
    def kind(self) -> str:
        return ACTION_KINDS[self.type]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A validated rule. `exit_criteria` None means the default: the engagement policy no longer
    holds. Event criteria are `EventCount` leaves and mean a later touchpoint."""

    key: str
    version: int
    category: str
    topic: str | None
    group: str | None
    trigger: Trigger
    engagement_policy: EngagementPolicy
    re_entry: ReEntry
    worth: Worth
    priority: int
    max_actions: int | None
    actions: tuple[ActionSpec, ...]
    exit_criteria: tuple[Condition, ...] | None
    valid_from: datetime | None
    valid_to: datetime | None

    def is_valid_at(self, at: datetime) -> bool:
        """Whether the rule is in force at the instant."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )
