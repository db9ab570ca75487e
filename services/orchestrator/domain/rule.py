"""A rule: what triggers it, for whom it is good, and what it then does; frozen, checked values.

This module only says what a rule is; `rule_document.py` reads and checks the JSON form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from services.orchestrator.domain.content import Content
from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.schedule import Schedule
from shared.conditions.tree import Condition

ReEntryMode = Literal["always", "after_exit", "never"]
TriggerKind = Literal[
    "event",
    "segment_entered",
    "segment_left",
    "trait_changed",
    "persona_changed",
    "schedule",
    "api",
]
FALLBACK_REASONS = (
    "undeliverable", "no_consent", "capped", "quiet", "expired", "declined", "ignored",
)  # fmt: skip
"""For what a fallback may be taken: no address or a failed delivery, no consent, a cap, quiet hours
that discard, and what became of the action on its channel."""
ACTION_KINDS: Mapping[str, str] = {
    "message": "send", "webhook": "send", "task": "task", "prompt": "prompt",
}  # fmt: skip
"""From the type of an action in a rule to the kind of the message on the channel's topic."""

TASK = "task"
"""The kind of an action that a person does."""
QUEUE = "queue"
"""The one field of the content that names a task's queue."""
MAX_QUEUE = 200
"""Of the name of a queue, in characters, as it is written and as it is rendered."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event of this type for which `where` holds, not older than `max_age` when received;
    records of file loads (`historical`) only when the rule says so, and members that a segment
    has from its first evaluation only with `include_existing`.

    Other kinds have no `event`. `subject` is the segment, the trait (computed ones as
    `computed.<name>`) or the persona (None: any) that it is about."""

    event: str
    where: Condition | None
    max_age: timedelta
    historical: bool
    kind: TriggerKind = "event"
    include_existing: bool = False
    subject: str | None = None
    schedule: Schedule | None = None


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


@dataclass(frozen=True, slots=True)
class Holdout:
    """So many percent of all profiles never get it; `salt` decides which. With a `metric`, who is
    on which side is noted, and what they do is counted."""

    percent: float
    salt: str
    metric: Metric | None = None


@dataclass(frozen=True, slots=True)
class InArms:
    """Some arms of an experiment, by their keys: only people in them are meant."""

    experiment: str
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """What is done instead when the action stops for one of the reasons `on`."""

    on: frozenset[str]
    spec: "ActionSpec"


@dataclass(frozen=True, slots=True, eq=False)
class ActionSpec:
    """One thing to do: on which channel, with what content, how long after, and until when. The
    action and its fallbacks are one choice: at most one of them is under way."""

    type: str
    channel: str
    template: str | None
    content: Content | None
    locale: str | None
    queue: Content | None
    delay: timedelta
    expires_in: timedelta
    fallback: tuple[Fallback, ...] = ()

    @property
    def kind(self) -> str:
        return ACTION_KINDS[self.type]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A validated rule. `exit_criteria` None means the default: the engagement policy no longer
    holds. An `EventCount` criterion without count and window means a later touchpoint. `window`
    None leaves the time for which candidates are collected to the contact policy; `costs` are
    amounts of scarce resources; `customer` is what the customer gains, in money, None when nobody
    said."""

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
    holdout: Holdout | None = None
    window: timedelta | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    customer: float | None = None
    experiment: InArms | None = None

    def is_valid_at(self, at: datetime) -> bool:
        """Whether the rule is in force at the instant."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )
