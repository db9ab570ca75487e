"""Check a rule or a contact policy as publishing would, without storing anything."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.lint import segments_of, warnings_of
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule import Rule
from services.orchestrator.storage import timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    check_draft,
    check_references,
    parsed_rule,
)
from shared.errors import Infrastructure, NotFound, Problem
from shared.postgres import drafts
from shared.postgres.drafts import Body
from shared.postgres.transaction import transaction

HasSegment = Callable[[str], Awaitable[bool]]
"""Whether a segment is in force. Raises Infrastructure."""


async def validate_draft(
    engine: AsyncEngine, kind: Kind, key: str, body: Body | None, *, has_segment: HasSegment
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
    return warnings + await _unknown_segments(rule, has_segment)


async def _warnings(tx: AsyncConnection, rule: Rule) -> list[Problem]:
    live = await drafts.live(tx, Kind.CONTACT_POLICY)
    policies = [parse_policy(one.body, key=one.key, version=one.version) for one in live]
    return warnings_of(rule, policies, await timers.now(tx))


async def _unknown_segments(rule: Rule, has_segment: HasSegment) -> list[Problem]:
    found: list[Problem] = []
    for segment, path in segments_of(rule).items():
        try:
            known = await has_segment(segment)
        except Infrastructure:
            later = "whether its segments are there is not known: the profile service is away"
            return [*found, Problem(path, "not_checked", later)]
        if not known:
            nobody = f"there is no segment {segment} in force: nobody is in it"
            found.append(Problem(path, "unknown_segment", nobody))
    return found
