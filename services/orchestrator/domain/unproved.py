"""What is not given to a person whose profile could not be read in time.

Such a person is not somebody unknown: a consent may be refused, a limit reached, and nothing here
can say so. So whatever any of them could forbid is left alone; what needs no consent and is under
no limit may be given.
"""

from services.orchestrator.domain.contact_gates import exposures
from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment

UNAVAILABLE = "unavailable"
"""The status of the empty profile that stands for somebody who could not be read."""
PERSON_UNAVAILABLE = "person_unavailable"


def unproved_rule(ruleset: RuleSet, rule: Rule, moment: Moment) -> Drop | None:
    """Why a rule may not act for somebody who could not be read: it acts only so often, leaves
    people out, or acts for some arms. None for everybody else."""
    if moment.profile.status != UNAVAILABLE:
        return None
    if rule.re_entry.mode != "always" or rule.re_entry.cooldown:
        return _drop("re_entry", "the rule may not act whenever there is a reason")
    for one in exposures(ruleset, rule, moment.profile_id):
        return _drop("holdout", f"{one.holdout.percent:g} % are held out ({one.layer})")
    if rule.experiment is not None and ruleset.experiments.compares(rule.experiment.experiment):
        return _drop("experiment", f"the arm in {rule.experiment.experiment} goes by the person")
    return None


def unproved(ruleset: RuleSet, contact: Contact, moment: Moment) -> Drop | None:
    """Why a contact may not be made with somebody who could not be read: it needs a consent, or
    there is a suppression or a cap for its like. None for everybody else."""
    if moment.profile.status != UNAVAILABLE:
        return None
    if ruleset.joint.consent[contact.category] != "none":
        return _drop("consent", f"{contact.category} on {contact.channel} needs consent")
    limits = (_limit(policy, contact) for policy in ruleset.policies)
    return next((drop for drop in limits if drop is not None), None)


def _limit(policy: ContactPolicy, contact: Contact) -> Drop | None:
    """What of a policy could forbid the contact, or should count it and cannot."""
    bypasses = contact.category in policy.bypass
    for suppression in policy.suppressions:
        if not bypasses and suppression.concerns(contact):
            return _drop("suppression", suppression.words())
    for cap in policy.caps:
        if cap.covers(contact) and (policy.bypass_counts or not bypasses):
            return _drop("cap", cap.words())
    return None


def _drop(stage: str, because: str) -> Drop:
    return Drop(stage, PERSON_UNAVAILABLE, f"to know the person: {because}", True, False)
