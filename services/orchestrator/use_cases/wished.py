"""Which document of a key is meant: its draft, or an earlier version once more."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.journeys.journey import VersionPolicy
from services.orchestrator.storage.draft_kind import Kind
from shared.errors import NotFound
from shared.postgres import drafts
from shared.postgres.drafts import Body, Draft


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a key is published: its draft, or an earlier `version` once more; and of a journey,
    what becomes of runs that are under way, instead of what the document says."""

    version: int | None = None
    version_policy: VersionPolicy | None = None


THE_DRAFT = Wish()


async def wished(tx: AsyncConnection, kind: Kind, draft: Draft, wish: Wish) -> Body:
    """The document that is meant. Raises NotFound without a version of the number."""
    body = draft.body
    if wish.version is not None:
        version = await drafts.version(tx, kind, draft.key, wish.version)
        if version is None:
            raise NotFound(f"There is no version {wish.version} of {kind.words} {draft.key}.")
        body = version.body
    if wish.version_policy is None:
        return body
    return {**body, "version_policy": wish.version_policy}
