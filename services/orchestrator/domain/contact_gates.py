"""The gates of the contact policies: suppression, holdout, quiet hours and caps.

All of them are asked when a decision is made, and again when an action that waited is released.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.orchestrator.domain import quiet
from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.experiments.in_force import Assigned
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.holdout import (
    RULE,
    UNIVERSAL,
    Exposure,
    exposure,
    threshold,
)
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from shared.contracts.times import rfc3339

MAX_NAMED = 20
"""As many outcomes are named on the record."""


def suppressed(ruleset: RuleSet, contact: Contact, situation: Situation) -> Drop | None:
    """Whether what the customer did with earlier actions silences this one."""
    if not situation.history.outcomes:
        return None
    for policy in ruleset.policies:
        if contact.category in policy.bypass:
            continue
        for suppression in policy.suppressions:
            hit = suppression.hit(contact, situation.history.outcomes, situation.at)
            if hit is not None:
                named = [
                    {"action_id": str(one.action_id), "outcome": one.outcome,
                     "channel": one.channel, "at": rfc3339(one.at)}
                    for one in hit.outcomes[-MAX_NAMED:]
                ]  # fmt: skip
                seen = {"until": rfc3339(hit.until), "outcomes": named}
                return Drop("suppression", suppression.outcome, suppression.words(), None, seen)
    return None


def exposures(ruleset: RuleSet, rule: Rule, profile_id: str) -> list[Exposure]:
    """On which side of the rule's own holdout, and for marketing of the universal ones, the person
    is."""
    found = [] if rule.holdout is None else [exposure(rule.holdout, RULE, profile_id)]
    if rule.category == "marketing":
        found += [
            exposure(policy.holdout, UNIVERSAL, profile_id)
            for policy in ruleset.policies
            if policy.holdout is not None
        ]
    return found


def held_out(found: Iterable[Exposure]) -> Drop | None:
    """Whether the person is left out by any of the holdouts."""
    for one in found:
        if one.held_out:
            percent, salt = one.holdout.percent, one.holdout.salt
            whom = f"not one of the {percent:g} % held out ({one.layer}, {salt})"
            wanted = f"a bucket from {threshold(one.holdout)}"
            return Drop("holdout", "held_out", whom, wanted, one.bucket)
    return None


def assigned(ruleset: RuleSet, rule: Rule, moment: Moment) -> Assigned | None:
    """The arm of the person in the experiment that the rule is part of, if it is and there is one.
    Who is unknown, and so has no update yet, takes part in none."""
    if rule.experiment is None:
        return None
    unit = moment.profile_id if moment.seq else None
    return ruleset.experiments.assign(rule.experiment.experiment, unit)


def other_arm(rule: Rule, found: Assigned | None) -> Drop | None:
    """Whether the rule is for other arms of its experiment than that of the person."""
    wanted = rule.experiment
    if wanted is None or (found is not None and found.arm in wanted.arms):
        return None
    if found is None:
        published = f"experiment {wanted.experiment} is published"
        return Drop("experiment", "not_running", published, True, False)
    arms = f"arm {' or '.join(wanted.arms)} of experiment {wanted.experiment}"
    return Drop("experiment", "other_arm", arms, list(wanted.arms), found.arm)


def awaited(
    ruleset: RuleSet, moment: Moment, *, channel: str, category: str, at: datetime
) -> Instant | Drop:
    """When an action that is due at an instant may happen, outside of the person's quiet hours."""
    if not ruleset.joint.needs_zone:
        return Instant(at)
    zone = ruleset.joint.zone_of(moment.profile)
    return quiet.planned_instant(
        ruleset.policies, channel=channel, category=category, at=at, zone=zone
    )


def capped(
    ruleset: RuleSet,
    moment: Moment,
    contact: Contact,
    others: Sequence[Contact],
    kin: Sequence[Contact],
) -> Drop | None:
    """Whether one more contact would break a cap of any policy; `kin` are the contacts with the
    rest of the household."""
    if not ruleset.longest_window:
        return None
    zone = ruleset.joint.zone_of(moment.profile)
    for policy in ruleset.policies:
        broken = policy.exceeded(contact, others, kin, zone=zone)
        if broken is not None:
            cap, count = broken
            return Drop("cap", "cap", cap.words(), cap.limit, count)
    return None
