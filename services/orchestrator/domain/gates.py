"""The gates a candidate has to pass, in their order, each with a reason code that is stored.

A gate looks at one rule, or at one of its actions, and says where and why it stops; None lets it
pass. Marketing alone has to pass consent by opt-in and the interest floor; service needs that
nobody refused it; transactional and legal pass consent, caps and arbitration freely.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain import consent
from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.drop import Drop as Drop
from services.orchestrator.domain.history import History
from services.orchestrator.domain.live_rule import Clause, LiveRule
from services.orchestrator.domain.rule import ActionSpec, Rule
from services.orchestrator.domain.run import Step
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from shared.conditions.duration import duration_in_words
from shared.contracts.times import rfc3339
from shared.contracts.touchpoint import Identifier

ActionIds = Callable[[str], Callable[[str, int, int], UUID]]
"""From a touchpoint to what makes the ids of everything that rules may do because of it."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision depends on beside the configuration. `at` is the business clock's,
    `action_id` makes the id of an option of a rule's action: by the rule's key, the index of the
    action, and 0 for itself or n for its n-th fallback."""

    moment: Moment
    history: History
    at: datetime
    action_id: Callable[[str, int, int], UUID]
    step: Step | None = None
    """The step of a journey's run that wants something; None for a touchpoint of rules."""

    def action_ids(self, rule: Rule) -> Iterator[UUID]:
        """The ids of everything that the rule may do: of its actions and of their fallbacks."""
        for index, spec in enumerate(rule.actions):
            for option in range(1 + len(spec.fallback)):
                yield self.action_id(rule.key, index, option)


def stale(live: LiveRule, situation: Situation) -> Drop | None:
    """An event that came too late, or from a file of old ones, triggers nothing."""
    cause, trigger = situation.moment.cause, live.rule.trigger
    if (cause.historical or cause.backfill) and not (
        trigger.historical or trigger.include_existing
    ):
        return Drop("stale", "historical", "the event is not from a load of old ones", False, True)
    occurred, received = situation.moment.occurred, cause.received
    if occurred is not None and received is not None and received - occurred > trigger.max_age:
        most, age = duration_in_words(trigger.max_age), duration_in_words(received - occurred)
        limit = f"the event was received within {most} of happening"
        return Drop("stale", "too_old", limit, most, age)
    return None


def entry_key(live: LiveRule, situation: Situation) -> str:
    """The value that tells entries of one rule apart; empty when the rule has no key. What a step
    of a run wants is told apart from everything else."""
    if situation.step is not None:
        return f"{situation.step.run}/{situation.step.occurrence}"
    if live.entry_key is None:
        return ""
    value = live.entry_key(situation.moment.facts)
    return "" if value is None else str(value)[:200]


def re_entry(live: LiveRule, situation: Situation) -> Drop | None:
    """Whether the rule may act again for this profile and entry key."""
    history, rule = situation.history, live.rule
    key = entry_key(live, situation)
    if history.acted and any(one in history.acted for one in situation.action_ids(rule)):
        return Drop("re_entry", "already_acted", "the rule acts once for a touchpoint", False, True)
    entered = history.entries.get((rule.key, key))
    if entered is not None and rule.re_entry.mode == "never":
        return Drop("re_entry", "already_entered", "the rule acts once", None, rfc3339(entered))
    if entered is not None and situation.at - entered < rule.re_entry.cooldown:
        wait = f"{duration_in_words(rule.re_entry.cooldown)} since the rule last acted"
        return Drop(
            "re_entry", "in_cooldown", wait,
            rfc3339(entered + rule.re_entry.cooldown), rfc3339(situation.at),
        )  # fmt: skip
    if rule.re_entry.mode == "after_exit" and any(
        action.rule == rule.key and action.entry_key == key for action in history.in_flight.values()
    ):
        return Drop("re_entry", "still_in_flight", "what the rule did before is over", True, False)
    return None


def recipient(
    channels: Mapping[str, Channel], key: str, moment: Moment
) -> Identifier | Drop | None:
    """Where an action goes to; None for an offline channel without an address."""
    channel = channels.get(key)
    if channel is None:
        return Drop("channel", "unknown_channel", f"there is a channel {key}", True, False)
    if not channel.enabled:
        return Drop("channel", "channel_off", f"{channel.key} is switched on", True, False)
    profile = moment.profile
    found = channel.recipient(moment.profile_id, profile.identifiers, profile.traits)
    if found is None and channel.online:
        wanted = " or ".join(channel.address) or channel.trait
        return Drop("channel", "no_address", f"an address for {channel.key}", wanted, None)
    return found


def consented(
    live: LiveRule, spec: ActionSpec, situation: Situation, ruleset: RuleSet
) -> Drop | None:
    """Whether the profile's consents permit the rule's category and topic on the channel now."""
    rule = live.rule
    refused = consent.refusal(
        situation.moment.profile.consents,
        category=rule.category,
        topic=rule.topic,
        channel=spec.channel,
        need=ruleset.joint.consent[rule.category],
        at=situation.at,
    )
    if refused is None:
        return None
    return Drop("consent", refused.reason, refused.condition, refused.expected, refused.actual)


_ENGAGEMENT = (
    ("eligibility", "not_eligible"),
    ("applicability", "not_applicable"),
    ("suitability", "not_suitable"),
)


def engagement(live: LiveRule, moment: Moment, history: History) -> Drop | None:
    """May they ever, is it relevant now (and not over already), is it good for them."""
    for stage, reason in _ENGAGEMENT:
        clause: Clause | None = getattr(live, stage)
        failure = None if clause is None else clause.failure(moment.facts)
        if failure is not None:
            return Drop(stage, reason, failure.condition, failure.expected, failure.actual)
        if stage == "applicability":
            over = exited(live, moment, history)
            if over is not None:
                return over
    return None


def exited(live: LiveRule, moment: Moment, history: History) -> Drop | None:
    """Whether the reason had ended before the trigger arrived: a later touchpoint came first."""
    occurred = moment.occurred
    for event in live.exit_events:
        mark = history.exits.get(event.criterion)
        if mark is not None and occurred is not None and mark > occurred:
            words = f"no later event where {event.words}"
            return Drop("applicability", "exit_met", words, None, rfc3339(mark))
    for clause in live.exit_conditions:
        if clause.holds(moment.facts):
            return Drop("applicability", "exit_met", f"not ({clause.words})", False, True)
    return None
