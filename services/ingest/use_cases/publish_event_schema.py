"""Make the draft of an event type's schema its next version, which never changes."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.tracking_plan import VersionPolicy
from services.ingest.storage.event_schemas import KIND
from services.ingest.use_cases.save_event_schema import check_event_schema
from shared import clock
from shared.errors import NotFound
from shared.postgres import audit, drafts
from shared.postgres.documents import publish_document
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction


async def publish_event_schema(
    engine: AsyncEngine,
    key: str,
    *,
    version_policy: VersionPolicy | None,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The event type with its new version, which every worker uses within two seconds.

    A `version_policy` replaces the draft's. `may_replace` is given the number of the draft and
    raises when another one is meant. Raises NotFound, and Unprocessable when the schema breaks a
    rule of today.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, KIND, key)
        if draft is None:
            raise NotFound(f"There is no schema of {key!r}.")
        may_replace(draft.draft_version)
        check_event_schema(key, draft.body)
        if version_policy is not None and version_policy != draft.body["version_policy"]:
            body = {**draft.body, "version_policy": version_policy}
            draft = await drafts.update(tx, KIND, key, body, at=clock.now(), by=who.name)
        return await publish_document(tx, KIND, draft, who=who)
