"""Check a rule or a contact policy as publishing would, without storing anything."""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.lint import names_traits, segments_of, trait_warnings, warnings_of
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule import Rule
from services.orchestrator.storage import timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    check_draft,
    check_references,
    parsed_rule,
)
from shared.conditions.trait_types import TraitType
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

    Raises Unprocessable with every mistake, and NotFound when there is neither.
    """
    async with transaction(engine) as tx:
        if body is None:
            draft = await drafts.find(tx, kind, key)
            if draft is None:
                raise NotFound(f"There is no {kind.words} {key}: give a document to check.")
            body = draft.body
        check_draft(kind, key, body)
        await check_references(tx, kind, key, body)
        if kind is not Kind.RULE:
            return []
        rule = parsed_rule(key, body)
        warnings = await _warnings(tx, rule)
    try:
        types = await definitions.trait_types() if names_traits(rule) else {}
        return [
            *warnings,
            *trait_warnings(rule, types),
            *await _unknown_segments(rule, definitions),
        ]
    except Infrastructure:
        later = (
            "whether its segments and traits are there is not known: the profile service is away"
        )
        return [*warnings, Problem("", "not_checked", later)]


async def _warnings(tx: AsyncConnection, rule: Rule) -> list[Problem]:
    live = await drafts.live(tx, Kind.CONTACT_POLICY)
    policies = [parse_policy(one.body, key=one.key, version=one.version) for one in live]
    return warnings_of(rule, policies, await timers.now(tx))


async def _unknown_segments(rule: Rule, definitions: Definitions) -> list[Problem]:
    return [
        Problem(path, "unknown_segment", f"there is no segment {segment} in force: nobody is in it")
        for segment, path in segments_of(rule).items()
        if not await definitions.has_segment(segment)
    ]
