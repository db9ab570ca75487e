"""Save, check, publish and archive what a deployment declares about consents: its purposes, and how
customers opt out. What is published holds for what comes next; what was said before stays."""

from collections.abc import Callable
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.consent_document import (
    MAX_PURPOSES,
    OPT_OUT_KEY,
    parse_opt_outs,
    parse_purpose,
)
from services.profile.use_cases.load_rules import OPT_OUTS, PURPOSES
from shared.errors import NotFound, Problem, Unprocessable
from shared.postgres import audit, drafts
from shared.postgres.documents import change_draft_status, publish_document, save_draft
from shared.postgres.drafts import Body, Draft, Status
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction

MayReplace = Callable[[int | None], None]
"""Is given the number of the draft, or None, and raises what forbids the write."""


class Kind(StrEnum):
    """The value is the name of its table."""

    PURPOSE = PURPOSES
    OPT_OUT = OPT_OUTS


NAMED = {Kind.PURPOSE: "consent purpose", Kind.OPT_OUT: "set of rules for opting out"}


def check(kind: Kind, key: str, body: Body) -> None:
    """Raises Unprocessable with every mistake of the body, NotFound for a key that cannot be."""
    if kind is Kind.PURPOSE:
        parse_purpose(body, key=key)
        return
    if key != OPT_OUT_KEY:
        raise NotFound(f"There is one set of rules for opting out: {OPT_OUT_KEY}.")
    parse_opt_outs(body)


async def save(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    body: Body,
    *,
    may_replace: MayReplace,
    who: audit.Who,
) -> Draft:
    """The draft as it now stands. Raises what `check` raises."""
    check(kind, key, body)
    async with transaction(engine) as tx:
        return await save_draft(tx, kind, key, body, may_replace=may_replace, who=who)


async def validate(engine: AsyncEngine, kind: Kind, key: str, body: Body | None) -> None:
    """Returns when `body`, or without one the stored draft, could be published.

    Raises what `check` raises, and NotFound when there is neither.
    """
    if body is None:
        async with transaction(engine) as tx:
            draft = await drafts.find(tx, kind, key)
        if draft is None:
            raise NotFound(f"There is no {NAMED[kind]} {key}: give a document to check.")
        body = draft.body
    check(kind, key, body)


async def publish(
    engine: AsyncEngine, kind: Kind, key: str, *, may_replace: MayReplace, who: audit.Who
) -> Draft:
    """The key with its new live version, which everybody goes by within two seconds.

    Raises NotFound, and Unprocessable when the draft breaks a rule of today or there are too many.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, kind, key)
        if draft is None:
            raise NotFound(f"There is no {NAMED[kind]} {key}.")
        may_replace(draft.draft_version)
        check(kind, key, draft.body)
        others = [row for row in await drafts.live(tx, kind) if row.key != key]
        if len(others) >= MAX_PURPOSES:
            rule = Problem("", "too_many", f"at most {MAX_PURPOSES} are in force")
            raise Unprocessable("too many purposes", [rule])
        published = await publish_document(tx, kind, draft, who=who)
        await bump_epoch(tx)
        return published


async def archive(engine: AsyncEngine, kind: Kind, key: str, *, who: audit.Who) -> Draft:
    """The key, out of force: a purpose is taken as it comes again, opting out is as built in.

    Raises NotFound.
    """
    async with transaction(engine) as tx:
        before = await drafts.lock(tx, kind, key)
        if before is None:
            raise NotFound(f"There is no {NAMED[kind]} {key}.")
        if before.status is Status.ARCHIVED:
            return before
        archived = await change_draft_status(
            tx, kind, before, Status.ARCHIVED, action="archive", who=who
        )
        await bump_epoch(tx)
        return archived
