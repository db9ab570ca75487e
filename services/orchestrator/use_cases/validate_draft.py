"""Check what is drafted as publishing would, without storing anything."""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.journey import Journey, Jump
from services.orchestrator.domain.journeys.lint import (
    conditions_in,
    segments_of_journey,
    warnings_of_journey,
)
from services.orchestrator.domain.lint import (
    conditions_of,
    conditions_of_metrics,
    names_traits,
    segments_of,
    segments_of_conditions,
    trait_warnings,
    warnings_of,
)
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule import Rule
from services.orchestrator.storage import timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    UNPUBLISHED,
    check_draft,
    check_references,
    parsed_experiment,
    parsed_journey,
    parsed_rule,
)
from services.orchestrator.use_cases.share_out import resolved
from shared.conditions.trait_types import TraitType
from shared.conditions.tree import Condition
from shared.errors import Infrastructure, NotFound, Problem
from shared.postgres import drafts
from shared.postgres.drafts import Body
from shared.postgres.transaction import transaction


class Definitions(Protocol):
    """What is in force in the profile service. Everything raises Infrastructure."""

    async def has_segment(self, key: str) -> bool:
        """Whether a segment is in force."""

    async def trait_types(self) -> Mapping[str, TraitType | None]:
        """Every trait that is in force, by attribute, with its type where it has one."""


async def validate_draft(
    engine: AsyncEngine, kind: Kind, key: str, body: Body | None, *, definitions: Definitions
) -> list[Problem]:
    """Warnings when `body`, or without one the stored draft, could be published: what is allowed
    and probably not meant.

    Raises Unprocessable with every mistake, NotFound when there is neither, and Conflict for an
    experiment whose layer is full.
    """
    async with transaction(engine) as tx:
        if body is None:
            draft = await drafts.find(tx, kind, key)
            if draft is None:
                raise NotFound(f"There is no {kind.words} {key}: give a document to check.")
            body = draft.body
        check_draft(kind, key, body)
        await check_references(tx, kind, key, body)
        match kind:
            case Kind.CONTACT_POLICY:
                return []
            case Kind.EXPERIMENT:
                draft = await drafts.find(tx, kind, key)
                await resolved(tx, key, UNPUBLISHED, body, draft)
                conditions = conditions_of_metrics(parsed_experiment(key, body))
                warnings = []
                segments = segments_of_conditions(conditions)
            case Kind.RULE:
                rule = parsed_rule(key, body)
                warnings = await _warnings(tx, rule)
                conditions, segments = list(conditions_of(rule)), segments_of(rule)
            case Kind.JOURNEY:
                journey = parsed_journey(key, body)
                warnings = warnings_of_journey(journey, await timers.now(tx))
                warnings += await _closed_journeys(tx, journey)
                conditions = list(conditions_in(journey))
                segments = segments_of_journey(journey)
    return [*warnings, *await _unknown(conditions, segments, definitions)]


async def _warnings(tx: AsyncConnection, rule: Rule) -> list[Problem]:
    live = await drafts.live(tx, Kind.CONTACT_POLICY)
    policies = [parse_policy(one.body, key=one.key, version=one.version) for one in live]
    return warnings_of(rule, policies, await timers.now(tx))


async def _closed_journeys(tx: AsyncConnection, journey: Journey) -> list[Problem]:
    """The journeys that it leads to and that let nobody in."""
    found = []
    for place, node in enumerate(journey.nodes.values()):
        if isinstance(node.does, Jump):
            other = await drafts.find(tx, Kind.JOURNEY, node.does.journey)
            if other is None or other.status in (drafts.Status.DRAFT, drafts.Status.ARCHIVED):
                closed = f"journey {node.does.journey} is not live: it lets nobody in"
                found.append(Problem(f"nodes[{place}].journey", "not_live", closed))
    return found


async def _unknown(
    conditions: list[tuple[str, Condition]], segments: Mapping[str, str], definitions: Definitions
) -> list[Problem]:
    """What is asked of traits and segments that is not there, as the profile service knows it."""
    try:
        types = await definitions.trait_types() if names_traits(conditions) else {}
        unknown = [
            (path, segment)
            for segment, path in segments.items()
            if not await definitions.has_segment(segment)
        ]
    except Infrastructure:
        later = (
            "whether its segments and traits are there is not known: the profile service is away"
        )
        return [Problem("", "not_checked", later)]
    nobody = "there is no segment {} in force: nobody is in it"
    return [
        *trait_warnings(conditions, types),
        *(Problem(path, "unknown_segment", nobody.format(one)) for path, one in unknown),
    ]
