"""What has to be taken back because the reason for it ended: bought at the till, consent withdrawn.

Asked after every update of a profile that has something in flight, and once more before a waiting
action is published.
"""

from collections.abc import Collection
from datetime import datetime

from services.orchestrator.domain import consent
from services.orchestrator.domain.gates import engagement
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, moment_with


def ended(
    action: InFlight,
    moment: Moment,
    history: History,
    ruleset: RuleSet,
    exits: Collection[str],
    at: datetime,
) -> str | None:
    """Why the action has to be taken back because of this update, at an instant; None
    when it stays.

    `exits` are the criteria that the update's touchpoint meets; they are in the history already,
    beside those of a profile that was merged into this one. An update of a profile that was merged
    away carries an old snapshot: of it only the touchpoint counts.
    """
    live = ruleset.acting.get(action.rule)
    if live is not None:
        reason = _exit_event(action, live, moment, history, exits)
        if reason is not None:
            return reason
    if not moment.is_of_winner or moment.profile.status == "merged":
        return None
    refused = withdrawn(action, moment, ruleset, at)
    if refused is not None or live is None:
        return refused
    return _over(action, live, moment, history, at, ruleset)


def withdrawn(action: InFlight, moment: Moment, ruleset: RuleSet, at: datetime) -> str | None:
    """Why consent stands against the action at an instant."""
    refused = consent.refusal(
        moment.profile.consents,
        category=action.category,
        topic=action.topic,
        channel=action.channel,
        need=ruleset.joint.consent[action.category],
        at=at,
    )
    return None if refused is None else f"{refused.reason}: {refused.condition}"


def policy_fails(
    action: InFlight, live: LiveRule, moment: Moment, history: History, at: datetime
) -> str | None:
    """Which part of the engagement policy no longer holds: the profile as it is now, with the
    event that asked for the action."""
    drop = engagement(live, for_action(action, moment, at), history)
    if drop is None:
        return None
    return f"{drop.reason}: {drop.condition}"


def for_action(action: InFlight, moment: Moment, at: datetime) -> Moment:
    """The moment with the action's own cause: what its rule's conditions have to be asked of."""
    return moment_with(
        action.cause,
        profile_id=moment.profile_id,
        of=moment.of,
        seq=moment.seq,
        profile=moment.profile,
        profile_json=moment.profile_json,
        at=at,
        occurred=action.occurred_at,
    )


def _exit_event(
    action: InFlight,
    live: LiveRule,
    moment: Moment,
    history: History,
    exits: Collection[str],
) -> str | None:
    for event in live.exit_events:
        mark = history.exits.get(event.criterion)
        if mark is not None and mark > action.occurred_at:
            where = f" on {moment.cause.channel}" if event.criterion in exits else ""
            return f"exit: {event.event}{where}"
    return None


def _over(
    action: InFlight,
    live: LiveRule,
    moment: Moment,
    history: History,
    at: datetime,
    ruleset: RuleSet,
) -> str | None:
    if not live.keeps_watch:
        happened = (
            action.published and action.kind == "send" and action.channel not in ruleset.connected
        )
        return None if happened else policy_fails(action, live, moment, history, at)
    for clause in live.exit_conditions:
        if clause.holds(moment.facts):
            return f"exit: {clause.words}"
    return None
