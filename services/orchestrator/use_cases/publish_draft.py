"""Make the draft of a rule or a contact policy live, as an immutable version."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import configuration, drafts
from services.orchestrator.storage.drafts import Draft, Kind, Status
from services.orchestrator.use_cases.check_configuration import check_draft, check_references
from shared import clock
from shared.errors import NotFound
from shared.postgres import audit
from shared.postgres.transaction import transaction


async def publish_draft(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The key with its new live version, which every worker uses within two seconds.

    `may_replace` is given the number of the draft and raises when another one is meant. Raises
    NotFound, and Unprocessable when the draft breaks a rule of today or names a template or a
    channel that is not there.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, kind, key)
        if draft is None:
            raise NotFound(f"There is no {kind.words} {key}.")
        may_replace(draft.draft_version)
        check_draft(kind, key, draft.body)
        await check_references(tx, kind, key, draft.body)
        now = clock.now()
        was_live = await drafts.version(tx, kind, key, draft.live_version)
        version = await drafts.insert_version(tx, kind, key, at=now, by=who.name)
        published = await drafts.set_status(
            tx, kind, key, Status.LIVE, version=version.version, at=now, by=who.name
        )
        await configuration.bump_epoch(tx)
        await audit.append(
            tx,
            who=who,
            kind=kind.value,
            key=key,
            action="publish",
            before=None if was_live is None else {"version": was_live.version, **was_live.body},
            after={"version": version.version, **version.body},
        )
        return published
