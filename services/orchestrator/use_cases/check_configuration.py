"""Everything that can be wrong with a piece of configuration, before it is saved or goes live.

A body is checked alone when it is saved; what it refers to is checked when it is published, so
that a rule and its template can be written in any order.
"""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.channel import default_channels, parse_channel
from services.orchestrator.domain.channel_content import template_problems
from services.orchestrator.domain.content import parse_template
from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.experiments.experiment_document import parse_experiment
from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.journey import Act, Journey, Jump
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule import ActionSpec, Rule
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from shared.conditions.mistakes import did_you_mean, shown
from shared.errors import Problem, Unprocessable
from shared.postgres import drafts
from shared.postgres.drafts import Body

UNPUBLISHED = 0
"""The version under which a body is parsed that is only checked."""


def parsed_rule(key: str, body: Body, version: int = UNPUBLISHED) -> Rule:
    """The rule in a body. Raises Unprocessable with every mistake."""
    return parse_rule(body, key=key, version=version)


def parsed_journey(key: str, body: Body, version: int = UNPUBLISHED) -> Journey:
    """The journey in a body. Raises Unprocessable with every mistake."""
    return parse_journey(body, key=key, version=version)


def parsed_experiment(key: str, body: Body, version: int = UNPUBLISHED) -> Experiment:
    """The experiment in a body. Raises Unprocessable with every mistake."""
    return parse_experiment(body, key=key, version=version)


def check_draft(kind: Kind, key: str, body: Body) -> None:
    """Raises Unprocessable with every mistake of a document of the kind."""
    match kind:
        case Kind.RULE:
            parsed_rule(key, body)
        case Kind.JOURNEY:
            parsed_journey(key, body)
        case Kind.CONTACT_POLICY:
            parse_policy(body, key=key, version=UNPUBLISHED)
        case Kind.EXPERIMENT:
            parsed_experiment(key, body)


def check_saved(kind: saved.Kind, key: str, body: Body) -> None:
    """Raises Unprocessable with every mistake of a template, a channel or a resource."""
    match kind:
        case saved.Kind.TEMPLATE:
            template = parse_template(body, key=key, version=UNPUBLISHED)
            channel = default_channels().get(template.channel or "")
            problems = [] if channel is None else list(template_problems(channel, template.content))
            if problems:
                raise Unprocessable(f"{template.channel} cannot carry the template", problems)
        case saved.Kind.CHANNEL:
            parse_channel(body, key=key, version=UNPUBLISHED)
        case saved.Kind.RESOURCE:
            parse_resource(body, key=key, version=UNPUBLISHED)


async def check_references(tx: AsyncConnection, kind: Kind, key: str, body: Body) -> None:
    """Raises Unprocessable with every channel, template, resource, experiment and other journey
    that `body` names and that is not there.

    The body must have passed `check_draft`.
    """
    channels = {channel.key for channel in await saved.everything(tx, saved.Kind.CHANNEL)}
    channels |= default_channels().keys()
    match kind:
        case Kind.RULE:
            rule = parsed_rule(key, body)
            problems = await _references(tx, list(specs_of(rule)), rule.costs, channels)
            problems += await _unknown_arms(tx, rule)
        case Kind.JOURNEY:
            journey = parsed_journey(key, body)
            problems = await _references(tx, list(specs_in(journey)), journey.costs, channels)
            problems += await _unknown_journeys(tx, journey)
        case Kind.CONTACT_POLICY:
            policy = parse_policy(body, key=key, version=UNPUBLISHED)
            problems = [
                _unknown(path, "channel", channel, channels)
                for path, channel in policy.channels_named()
                if channel not in channels
            ]
        case Kind.EXPERIMENT:
            problems = []
    if problems:
        raise Unprocessable(f"{kind.words} {key} names what is not there", problems)


Specs = Sequence[tuple[str, ActionSpec]]
"""Actions with their paths."""


async def _references(
    tx: AsyncConnection, specs: Specs, costs: Mapping[str, float], channels: set[str]
) -> list[Problem]:
    templates = {
        row.key: row.body.get("channel") for row in await saved.everything(tx, saved.Kind.TEMPLATE)
    }
    resources = await saved.known(tx, saved.Kind.RESOURCE, set(costs)) if costs else set()
    problems = [
        _unknown(f"score.costs.{key}", "resource", key, resources)
        for key in costs
        if key not in resources
    ]
    for path, action in specs:
        if action.channel not in channels:
            problems.append(_unknown(f"{path}.channel", "channel", action.channel, channels))
        if action.template is None:
            continue
        if action.template not in templates:
            known = set(templates)
            problems.append(_unknown(f"{path}.template", "template", action.template, known))
        elif templates[action.template] not in (None, action.channel):
            message = f"{shown(action.template)} is for {templates[action.template]}"
            problems.append(Problem(f"{path}.template", "template_channel", message))
    return problems + await _unfit_content(tx, specs)


async def _unknown_arms(tx: AsyncConnection, rule: Rule) -> list[Problem]:
    """The experiment must be saved, and have the arms: in the version that is live, or in the draft
    of one that is not."""
    wanted = rule.experiment
    if wanted is None:
        return []
    draft = await drafts.find(tx, Kind.EXPERIMENT, wanted.experiment)
    if draft is None:
        return [_unknown("experiment.key", "experiment", wanted.experiment, set())]
    live = await drafts.version(tx, Kind.EXPERIMENT, draft.key, draft.live_version)
    arms = set(parsed_experiment(draft.key, draft.body if live is None else live.body).weights)
    return [
        _unknown(f"experiment.arms[{place}]", "arm", arm, arms)
        for place, arm in enumerate(wanted.arms)
        if arm not in arms
    ]


async def _unknown_journeys(tx: AsyncConnection, journey: Journey) -> list[Problem]:
    """The journeys that it leads to must be saved; so two that lead to each other can be published
    one after the other."""
    named = {
        f"nodes[{place}].journey": node.does.journey
        for place, node in enumerate(journey.nodes.values())
        if isinstance(node.does, Jump)
    }
    known = await drafts.known(tx, Kind.JOURNEY, set(named.values()))
    return [
        _unknown(path, "journey", key, known) for path, key in named.items() if key not in known
    ]


async def _unfit_content(tx: AsyncConnection, specs: Specs) -> list[Problem]:
    """What the channels cannot carry of contents and templates."""
    channels = default_channels() | {
        row.key: parse_channel(row.body, key=row.key, version=row.version)
        for row in await saved.everything(tx, saved.Kind.CHANNEL)
    }
    problems = []
    for path, action in specs:
        channel, content = channels.get(action.channel), action.content
        row = None
        if action.template is not None:
            row = await saved.find(tx, saved.Kind.TEMPLATE, action.template)
        if row is not None:
            template = parse_template(row.body, key=row.key, version=row.version)
            content, path = template.content, f"{path}.template"
        if channel is not None and content is not None:
            problems += [
                Problem(f"{path}.{one.path}", one.rule, one.message)
                for one in template_problems(channel, content)
            ]
    return problems


def specs_of(rule: Rule) -> Iterator[tuple[str, ActionSpec]]:
    """The actions of a rule and their fallbacks, with their paths."""
    for place, action in enumerate(rule.actions):
        yield from _with_fallbacks(f"actions[{place}]", action)


def specs_in(journey: Journey) -> Iterator[tuple[str, ActionSpec]]:
    """The actions of a journey's nodes and their fallbacks, with their paths."""
    for place, node in enumerate(journey.nodes.values()):
        if isinstance(node.does, Act):
            yield from _with_fallbacks(f"nodes[{place}]", node.does.spec)


def _with_fallbacks(path: str, action: ActionSpec) -> Iterator[tuple[str, ActionSpec]]:
    yield path, action
    for number, fallback in enumerate(action.fallback):
        yield f"{path}.fallback[{number}]", fallback.spec


def _unknown(path: str, what: str, name: str, known: set[str]) -> Problem:
    hint = did_you_mean(name, sorted(known))
    return Problem(path, f"unknown_{what}", f"there is no {what} {shown(name)}.{hint}")
