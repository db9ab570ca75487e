"""What is probably not meant in a rule that is allowed: warnings, which stop nothing.

A warning is a `Problem` with the place and a word for its kind. It is given only where it is
certain that what it says is so; whether that is wanted, the author knows.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.rule import ActionSpec, Fallback, Rule, Trigger
from services.orchestrator.domain.schedule import Schedule, next_occurrence
from services.orchestrator.domain.zone import Zone
from shared.conditions.contradiction import contradiction
from shared.conditions.facts import Location, locate
from shared.conditions.leaves import is_of_one_event, leaves_of, references
from shared.conditions.parse import parse_condition
from shared.conditions.trait_types import TraitType, type_mistake
from shared.conditions.tree import All, Compare, Condition, EventCount, InSegment, Not
from shared.contracts.times import rfc3339
from shared.errors import Problem

Conditions = Iterable[tuple[str, Condition]]
"""Conditions with their places."""

_GATED = frozenset({"no_consent", "capped", "quiet"})
_NEEDS_NO_CONSENT = frozenset({"transactional", "legal"})
AUDIENCE = "trigger.audience"
"""Asked of all profiles when the schedule is due, before the rule is asked of one."""
_BY_CHANNEL = frozenset({"undeliverable", "no_consent", "capped", "quiet"})


def warnings_of(rule: Rule, policies: Iterable[ContactPolicy], now: datetime) -> list[Problem]:
    """The warnings about a rule beside the contact policies in force."""
    return [
        *_never_matches(rule),
        *is_over(rule.valid_to, rule.trigger.schedule, "trigger", now),
        *_own_exit(rule),
        *_over_cap(rule, policies, now),
        *_unreachable(rule),
    ]


def segments_of(rule: Rule) -> dict[str, str]:
    """The segments that the rule names, with the place of the first mention."""
    return segments_in(rule.trigger, "trigger", conditions_of(rule))


def segments_in(trigger: Trigger, place: str, conditions: Conditions) -> dict[str, str]:
    """The segments that a trigger at a place and conditions name, with the place of the first
    mention."""
    found: dict[str, str] = {}
    if trigger.kind in ("segment_entered", "segment_left") and trigger.subject:
        found[trigger.subject] = f"{place}.segment"
    return segments_of_conditions(conditions) | found


def segments_of_conditions(conditions: Conditions) -> dict[str, str]:
    """The segments that conditions name, with the place of the first mention."""
    found: dict[str, str] = {}
    for path, condition in conditions:
        for segment in references(condition).segments:
            found.setdefault(segment, path)
    return found


def conditions_of_metrics(experiment: Experiment) -> list[tuple[str, Condition]]:
    """The conditions of an experiment's metrics, with their places."""
    several = {"secondary": experiment.secondary, "guardrails": experiment.guardrails}
    places = {"metrics.primary": experiment.primary} | {
        f"metrics.{name}[{place}]": metric
        for name, metrics in several.items()
        for place, metric in enumerate(metrics)
    }
    return [
        (f"{place}.where", metric.where)
        for place, metric in places.items()
        if metric.where is not None
    ]


def trait_warnings(conditions: Conditions, types: Mapping[str, TraitType | None]) -> list[Problem]:
    """What conditions ask of traits that they can never answer. `types` has every trait that is in
    force, by attribute, with its type where it has one."""
    return [
        Problem(path, kind, message)
        for path, leaf, location in _traits(conditions)
        for kind, message in _trait_mistake(leaf, location, types)
    ]


def names_traits(conditions: Conditions) -> bool:
    """Whether traits are asked for at all."""
    return any(True for _ in _traits(conditions))


def _traits(conditions: Conditions) -> Iterator[tuple[str, Compare, Location]]:
    for path, condition in conditions:
        for leaf in leaves_of(condition):
            if isinstance(leaf, Compare):
                location = locate(leaf.attr)
                if location.root in ("profile", "computed"):
                    yield path, leaf, location


def _trait_mistake(
    leaf: Compare, location: Location, types: Mapping[str, TraitType | None]
) -> Iterator[tuple[str, str]]:
    name = location.path[0]
    attr = f"profile.computed.{name}" if location.root == "computed" else f"profile.{name}"
    type_ = types.get(attr)
    if location.root == "computed" and attr not in types:
        yield "unknown_trait", f"no computed trait {name} is in force: nobody has it"
    elif type_ is not None and (mistake := type_mistake(leaf, len(location.path), type_)):
        yield "trait_type", mistake


def conditions_of(rule: Rule) -> Iterator[tuple[str, Condition]]:
    """Every condition of a rule, with its place."""
    policy = rule.engagement_policy
    clauses = [
        ("trigger.where", rule.trigger.where),
        ("engagement_policy.eligibility", policy.eligibility),
        ("engagement_policy.applicability", policy.applicability),
        ("engagement_policy.suitability", policy.suitability),
    ]
    if rule.trigger.schedule is not None:
        yield AUDIENCE, parse_condition(rule.trigger.schedule.audience)
    yield from ((path, clause) for path, clause in clauses if clause is not None)
    for place, (when, _) in enumerate(rule.worth.context):
        yield f"score.context[{place}].when", when
    for place, criterion in enumerate(rule.exit_criteria or ()):
        if not (isinstance(criterion, EventCount) and is_of_one_event(criterion)):
            yield f"exit_criteria[{place}]", criterion


def _never_matches(rule: Rule) -> Iterator[Problem]:
    """A clause that holds for nobody, or clauses that never hold together."""
    alone = False
    together: list[Condition] = []
    for path, condition in conditions_of(rule):
        for one in never_hold([(path, condition)]):
            alone = True
            yield one
        if path != AUDIENCE and path.startswith(("trigger", "engagement_policy")):
            together.append(condition)
    segment = InSegment(rule.trigger.subject or "")
    if rule.trigger.kind == "segment_entered":
        together.append(segment)
    elif rule.trigger.kind == "segment_left":
        together.append(Not(segment))
    reason = None if alone else contradiction(All(tuple(together)))
    if reason is not None:
        yield Problem("engagement_policy", "never_holds", f"never with the trigger: {reason}")


def never_hold(conditions: Conditions) -> Iterator[Problem]:
    """The conditions that hold for nobody."""
    for path, condition in conditions:
        reason = contradiction(condition)
        if reason is not None:
            yield Problem(path, "never_holds", f"holds for nobody: {reason}")


def is_over(
    valid_to: datetime | None, schedule: Schedule | None, place: str, now: datetime
) -> Iterator[Problem]:
    """What is in force until an instant, or by the schedule of a trigger at a place, and will not
    be any more."""
    if valid_to is not None and valid_to <= now:
        yield Problem("valid.to", "over", f"it ended at {rfc3339(valid_to)}")
    elif schedule is not None:
        following = next_occurrence(schedule, now)
        if following is None or (valid_to is not None and valid_to <= following):
            yield Problem(f"{place}.rrule", "over", "does not occur again")


def _own_exit(rule: Rule) -> Iterator[Problem]:
    for place, criterion in enumerate(rule.exit_criteria or ()):
        if (
            isinstance(criterion, EventCount)
            and criterion.event == rule.trigger.event
            and criterion.where in (None, rule.trigger.where)
        ):
            again = "is the trigger itself: when it comes again, it takes back what it asked for"
            yield Problem(f"exit_criteria[{place}]", "own_trigger", again)
    if rule.trigger.kind == "segment_entered" and InSegment(rule.trigger.subject or "") in (
        rule.exit_criteria or ()
    ):
        member = "holds from the start: who enters the segment is in it"
        yield Problem("exit_criteria", "own_trigger", member)


def _over_cap(rule: Rule, policies: Iterable[ContactPolicy], now: datetime) -> Iterator[Problem]:
    """The rule's own actions, all of them made, against each cap, in the default zone."""
    joint = JointPolicy(policies)
    zone = joint.time_zone.default
    assumed = Zone(zone, "default", zone)
    made: list[Contact] = []
    for place, spec in enumerate(rule.actions):
        contact = _contact(rule, spec, place, now)
        for policy in joint.policies:
            broken = policy.exceeded(contact, made, zone=assumed)
            if broken is not None:
                cap = broken[0].words()
                message = f"is over the contact policy {policy.key} by this rule alone: {cap}"
                yield Problem(f"actions[{place}]", "over_cap", message)
                break
        else:
            made.append(contact)


def _contact(rule: Rule, spec: ActionSpec, place: int, now: datetime) -> Contact:
    return Contact(
        action_id=UUID(int=place),
        at=now + spec.delay,
        channel=spec.channel,
        category=rule.category,
        topic=rule.topic,
        group=rule.group,
        rule=rule.key,
    )


def _unreachable(rule: Rule) -> Iterator[Problem]:
    for place, spec in enumerate(rule.actions):
        channels = {spec.channel}
        for number, fallback in enumerate(spec.fallback):
            path = f"actions[{place}].fallback[{number}]"
            reason = _why_unreachable(rule, fallback, channels)
            if reason is not None:
                yield Problem(path, "unreachable", reason)
            channels.add(fallback.spec.channel)


def _why_unreachable(rule: Rule, fallback: Fallback, before: set[str]) -> str | None:
    if rule.trigger.kind == "api":
        return "an answer is given to who asks for it, and nowhere else"
    if rule.category in _NEEDS_NO_CONSENT and fallback.on <= _GATED:
        return f"{rule.category} actions stop for none of {', '.join(sorted(fallback.on))}"
    if fallback.spec.channel in before and fallback.on <= _BY_CHANNEL:
        return f"{fallback.spec.channel} was tried already and stops for the same reasons"
    return None
