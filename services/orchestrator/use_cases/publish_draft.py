"""Make the draft of a rule or a contact policy live, as an immutable version."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.rule_leaves import leaves_of_rule
from services.orchestrator.storage import rule_leaves
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    check_draft,
    check_references,
    parsed_rule,
)
from services.orchestrator.use_cases.keep_schedule import keep_schedule
from shared.conditions.tree import to_json
from shared.errors import Conflict, NotFound
from shared.postgres import audit, drafts, epochs
from shared.postgres.documents import publish_document
from shared.postgres.drafts import Draft, Status
from shared.postgres.transaction import transaction

Register = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Mapping[str, bool]]]
"""Has event leaves (JSON) counted; by hash, whether that is done for everybody."""
Leaves = Mapping[str, Mapping[str, Any]]


class Published(NamedTuple):
    """What is live now, and whether that is a version that was not there before."""

    draft: Draft
    is_new: bool


async def publish_draft(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    register: Register,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Published:
    """The key with its new live version, which every worker uses within two seconds; a rule with
    event leaves once they are counted. A draft that is live already makes no new version.

    `may_replace` is given the number of the draft and raises when another one is meant. Raises
    NotFound, Unprocessable when the draft breaks a rule of today or names a template or a channel
    that is not there, Conflict when it is edited meanwhile, and Infrastructure when its event
    leaves cannot be registered: then nothing is live.
    """
    async with transaction(engine) as tx:
        draft = await _draft(tx, kind, key, await drafts.find(tx, kind, key), may_replace)
    leaves = _leaves(kind, draft)
    ready = await register(list(leaves.values())) if leaves else {}
    async with transaction(engine) as tx:
        locked = await drafts.lock(tx, kind, key)
        if leaves and (locked is None or locked.body != draft.body):
            raise Conflict(f"{kind.words} {key} was edited while it was published: publish again.")
        before = await _draft(tx, kind, key, locked, may_replace)
        if await _is_live_already(tx, kind, before):
            return Published(before, is_new=False)
        published = await publish_document(tx, kind, before, who=who)
        if kind is Kind.RULE:
            await _put_in_force(tx, before, published, leaves, ready)
        await epochs.bump_epoch(tx)
        return Published(published, is_new=True)


async def _draft(
    tx: AsyncConnection,
    kind: Kind,
    key: str,
    draft: Draft | None,
    may_replace: Callable[[int | None], None],
) -> Draft:
    if draft is None:
        raise NotFound(f"There is no {kind.words} {key}.")
    may_replace(draft.draft_version)
    check_draft(kind, key, draft.body)
    await check_references(tx, kind, key, draft.body)
    return draft


async def _is_live_already(tx: AsyncConnection, kind: Kind, draft: Draft) -> bool:
    """Whether what would be published is what is live, to the last field."""
    if draft.status is not Status.LIVE:
        return False
    live = await drafts.version(tx, kind, draft.key, draft.live_version)
    return live is not None and live.body == draft.body


def _leaves(kind: Kind, draft: Draft) -> Leaves:
    if kind is not Kind.RULE:
        return {}
    found = leaves_of_rule(parsed_rule(draft.key, draft.body))
    return {name: to_json(leaf) for name, leaf in found.items()}


async def _put_in_force(
    tx: AsyncConnection, before: Draft, published: Draft, leaves: Leaves, ready: Mapping[str, bool]
) -> None:
    assert published.live_version is not None  # noqa: S101 - it has just been published
    await rule_leaves.put(
        tx,
        published.key,
        published.live_version,
        leaves,
        ready,
        before=before.live_version if before.status is Status.LIVE else None,
    )
    await keep_schedule(tx, published)
