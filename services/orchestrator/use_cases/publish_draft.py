"""Make the draft of a rule, a contact policy, a journey or an experiment live, as an immutable
version.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.document import conditions_of
from services.orchestrator.domain.journeys.versions import Affected
from services.orchestrator.domain.rule_leaves import leaves_in, leaves_of_rule
from services.orchestrator.storage import experiments, journey_leaves, journey_states, rule_leaves
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    check_draft,
    check_references,
    parsed_journey,
    parsed_rule,
)
from services.orchestrator.use_cases.follow_live import tell_followers
from services.orchestrator.use_cases.keep_schedule import keep_schedule
from services.orchestrator.use_cases.preview_journey import affected_by
from services.orchestrator.use_cases.share_out import share_out
from services.orchestrator.use_cases.wished import THE_DRAFT, Wish, wished
from shared.conditions.tree import to_json
from shared.errors import Conflict
from shared.postgres import audit, drafts, epochs
from shared.postgres.documents import publish_document
from shared.postgres.drafts import Body, Draft, Status
from shared.postgres.transaction import transaction

Register = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Mapping[str, bool]]]
"""Has event leaves (JSON) counted; by hash, whether that is done for everybody."""
Leaves = Mapping[str, Mapping[str, Any]]


class Published(NamedTuple):
    """What is live now, whether that is a version that was not there before, and of a journey,
    what becomes of the runs that are under way."""

    draft: Draft
    is_new: bool
    affected: Sequence[Affected] = ()


async def publish_draft(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    register: Register,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
    wish: Wish = THE_DRAFT,
) -> Published:
    """The key with its new live version, which every worker uses within two seconds; a rule or a
    journey with event leaves once they are counted. What is live already makes no new version.

    `may_replace` is given the number of the draft and raises when another one is meant. Raises
    NotFound, Unprocessable when the document breaks a rule of today or names what is not there,
    Conflict when it is edited meanwhile or an experiment's layer is full, and Infrastructure when
    its event leaves cannot be registered: then nothing is live.
    """
    async with transaction(engine) as tx:
        draft = drafts.there(await drafts.find(tx, kind, key), kind.words, key)
        may_replace(draft.draft_version)
        body = await wished(tx, kind, draft, wish)
        await _check(tx, kind, key, body)
    leaves = _leaves(kind, key, body)
    ready = await register(list(leaves.values())) if leaves else {}
    async with transaction(engine) as tx:
        if kind is Kind.EXPERIMENT:
            await experiments.lock(tx)
        before = drafts.there(await drafts.lock(tx, kind, key), kind.words, key)
        may_replace(before.draft_version)
        if await wished(tx, kind, before, wish) != body:
            raise Conflict(f"{kind.words} {key} was edited while it was published: publish again.")
        await _check(tx, kind, key, body)
        if await _is_live_already(tx, kind, before, body):
            return Published(before, is_new=False)
        affected: Sequence[Affected] = ()
        if kind is Kind.JOURNEY:
            affected = await affected_by(tx, parsed_journey(key, body))
        status = before.status if _stays(kind, before.status) else Status.LIVE
        published = await publish_document(tx, kind, before, who=who, body=body, status=status)
        if kind is Kind.EXPERIMENT:
            await share_out(tx, before, published, body)
        elif kind is not Kind.CONTACT_POLICY:
            await _put_in_force(tx, kind, before, published, leaves, ready)
        await epochs.bump_epoch(tx)
        if kind is Kind.JOURNEY and all(ready[name] for name in leaves):
            await tell_followers(tx, key)
        return Published(published, is_new=True, affected=affected)


async def _check(tx: AsyncConnection, kind: Kind, key: str, body: Body) -> None:
    check_draft(kind, key, body)
    await check_references(tx, kind, key, body)


async def _is_live_already(tx: AsyncConnection, kind: Kind, draft: Draft, body: Body) -> bool:
    """Whether what would be published is what is live, to the last field."""
    if draft.status is not Status.LIVE and not _stays(kind, draft.status):
        return False
    live = await drafts.version(tx, kind, draft.key, draft.live_version)
    return live is not None and live.body == body


def _stays(kind: Kind, status: Status) -> bool:
    """Whether a publication leaves it paused: the runs of a journey go on when that is said, and at
    a stated rate."""
    return kind is Kind.JOURNEY and status is Status.PAUSED


def _leaves(kind: Kind, key: str, body: Body) -> Leaves:
    match kind:
        case Kind.RULE:
            found = leaves_of_rule(parsed_rule(key, body))
        case Kind.JOURNEY:
            found = leaves_in(one for _, one in conditions_of(parsed_journey(key, body)))
        case Kind.CONTACT_POLICY | Kind.EXPERIMENT:
            return {}
    return {name: to_json(leaf) for name, leaf in found.items()}


async def _put_in_force(
    tx: AsyncConnection,
    kind: Kind,
    before: Draft,
    published: Draft,
    leaves: Leaves,
    ready: Mapping[str, bool],
) -> None:
    version = published.live_version
    assert version is not None  # noqa: S101 - it has just been published
    if kind is Kind.JOURNEY:
        stays = before.status is Status.LIVE or _stays(kind, before.status)
        await journey_states.put_published(tx, published.key, version, stays=stays)
        await journey_leaves.put(tx, published.key, version, leaves, ready)
    else:
        before_version = before.live_version if before.status is Status.LIVE else None
        await rule_leaves.put(tx, published.key, version, leaves, ready, before=before_version)
    await keep_schedule(tx, kind, published)
