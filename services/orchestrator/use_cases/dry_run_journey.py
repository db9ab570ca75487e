"""Lets one person, described and not stored, go through a draft or a version of a journey."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.channel_content import check_content
from services.orchestrator.domain.content import ContentFailed, locale_of
from services.orchestrator.domain.journeys.dry_run import (
    Asked,
    Chosen,
    DryRun,
    Later,
    Line,
    Scenario,
    dry_run,
)
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.standing import where_it_stands
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Cause
from services.orchestrator.storage import timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import UNPUBLISHED, parsed_journey
from services.orchestrator.use_cases.wished import Wish, wished
from shared.conditions.mistakes import did_you_mean, shown
from shared.contracts.profile_update import ProfileSnapshot
from shared.errors import Problem, Unprocessable
from shared.postgres import drafts
from shared.postgres.transaction import transaction

MAX_CONTENTS = 50
"""So many contents are rendered; a content may be long."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What happens so long after the beginning, and how the person is from then on."""

    after: timedelta
    cause: Cause
    traits: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Who enters at an instant (now) by what, what is answered and happens, and how long after it
    is looked at; the version that is gone through, None for the draft."""

    version: int | None
    profile: ProfileSnapshot
    cause: Cause
    at: datetime | None
    lasts: timedelta
    chosen: Mapping[str, Chosen]
    arms: Mapping[str, str]
    happenings: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """What would be sent: the content, or why there is none."""

    channel: str
    type: str
    template: str | None
    content: Mapping[str, object] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """What happened in a dry run, what each line of it would have sent, and where the run stands in
    the end, in words; None for who may not enter."""

    made: DryRun
    sent: tuple[Sent | None, ...]
    sentence: str | None


async def dry_run_journey(engine: AsyncEngine, key: str, script: Script, ruleset: RuleSet) -> Tried:
    """Go through the draft, or a version, of a journey; nothing is stored and nobody is contacted.
    Zone, templates and the winners of experiments are those in force.

    Raises NotFound without the journey or the version; Unprocessable for a document that could not
    be published, and for nodes and arms that it does not have.
    """
    async with transaction(engine) as tx:
        draft = drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
        body = await wished(tx, Kind.JOURNEY, draft, Wish(script.version))
        now = await timers.now(tx)
    return await asyncio.to_thread(_tried, key, body, script, ruleset, script.at or now)


def _tried(key: str, body: drafts.Body, script: Script, ruleset: RuleSet, at: datetime) -> Tried:
    journey = parsed_journey(key, body, script.version or UNPUBLISHED)
    problems = _unknown_nodes(journey, script)
    if problems:
        raise Unprocessable("The journey has no such nodes.", problems)
    known = ruleset.journeys.journeys.get(key)
    live = LiveJourney(
        [journey], live=journey.version, winners={} if known is None else known.winners
    )
    made = dry_run(
        live,
        Scenario(
            profile=script.profile,
            zone=ruleset.joint.zone_of(script.profile).info,
            cause=script.cause,
            enters_at=at,
            until=at + script.lasts,
            chosen=script.chosen,
            arms=script.arms,
            events=[
                Later(at + one.after, one.cause, one.traits, one.segments)
                for one in script.happenings
            ],
        ),
    )
    sentence = None if made.run is None else where_it_stands(made.run, journey)
    return Tried(made, tuple(_sent(made.lines, ruleset)), sentence)


def _sent(lines: Iterable[Line], ruleset: RuleSet) -> list[Sent | None]:
    found: list[Sent | None] = []
    rendered = 0
    for line in lines:
        rendered += line.asked is not None
        found.append(None if line.asked is None else _rendered(line.asked, ruleset, rendered))
    return found


def _rendered(asked: Asked, ruleset: RuleSet, number: int) -> Sent:
    spec = asked.spec
    sent = Sent(spec.channel, spec.type, spec.template)
    if number > MAX_CONTENTS:
        return replace(sent, problem=f"only the first {MAX_CONTENTS} contents are rendered")
    template = ruleset.templates.get(spec.template or "")
    content = spec.content or (None if template is None else template.content)
    if content is None:
        return replace(sent, problem=f"there is no template {spec.template}")
    wanted = "profile.locale" if spec.locale is None else spec.locale
    try:
        fields = content.render(asked.facts, locale_of(wanted, asked.facts))
        if spec.channel in ruleset.channels:
            check_content(ruleset.channels[spec.channel], fields)
    except ContentFailed as error:
        return replace(sent, problem=str(error))
    return replace(sent, content=fields)


def _unknown_nodes(journey: Journey, script: Script) -> list[Problem]:
    problems = []
    for path, named in (("answers", script.chosen), ("arms", script.arms)):
        for node in named:
            if node not in journey.nodes:
                hint = did_you_mean(node, sorted(journey.nodes))
                words = f"there is no node {shown(node)}.{hint}"
                problems.append(Problem(f"{path}.{node}", "unknown_node", words))
    for node, arm in script.arms.items():
        leads = journey.nodes[node].leads if node in journey.nodes else {arm: arm}
        if arm not in leads and arm not in leads.values():
            hint = did_you_mean(arm, sorted({*leads, *leads.values()}))
            problems.append(Problem(f"arms.{node}", "unknown_arm", f"there is none such.{hint}"))
    return problems
