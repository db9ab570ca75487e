"""Save, check and publish the rules of identity. What is published holds for what comes next."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.identity import IdentityRules
from services.profile.domain.identity_document import KEY, parse_identity_rules
from services.profile.storage import identifiers, suppression
from services.profile.use_cases.load_rules import KIND
from shared.errors import Conflict, NotFound
from shared.postgres import audit, drafts
from shared.postgres.documents import publish_document, save_draft
from shared.postgres.drafts import Body, Draft
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction

UNPUBLISHED = 0

MayReplace = Callable[[int | None], None]
"""Is given the number of the draft, or None, and raises what forbids the write."""


async def save_identity_rules(
    engine: AsyncEngine, body: Body, *, may_replace: MayReplace, who: audit.Who
) -> Draft:
    """The draft as it now stands. Raises Unprocessable with every mistake of the body."""
    parse_identity_rules(body, version=UNPUBLISHED)
    async with transaction(engine) as tx:
        return await save_draft(tx, KIND, KEY, body, may_replace=may_replace, who=who)


async def validate_identity_rules(engine: AsyncEngine, body: Body | None) -> None:
    """Returns when `body`, or without one the stored draft, could be published.

    Raises Unprocessable with every mistake, and NotFound when there is neither.
    """
    if body is None:
        async with transaction(engine) as tx:
            draft = await drafts.find(tx, KIND, KEY)
        if draft is None:
            raise NotFound("There is no draft of the identity rules: give a document to check.")
        body = draft.body
    parse_identity_rules(body, version=UNPUBLISHED)


async def publish_identity_rules(
    engine: AsyncEngine, *, may_replace: MayReplace, who: audit.Who
) -> Draft:
    """The rules with their new live version, which every worker goes by within two seconds.

    Raises NotFound, Unprocessable when the draft breaks a rule of today, and Conflict when it would
    write identifiers that are known, or were erased, in another form.
    """
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, KIND, KEY)
        if draft is None:
            raise NotFound("There is no draft of the identity rules.")
        may_replace(draft.draft_version)
        rules = parse_identity_rules(draft.body, version=UNPUBLISHED)
        await _refuse_other_forms(tx, rules)
        published = await publish_document(tx, KIND, draft, who=who)
        await bump_epoch(tx)
        return published


async def _refuse_other_forms(tx: AsyncConnection, rules: IdentityRules) -> None:
    """In another form nobody would be found by the identifiers they have, and who was erased would
    not be known by theirs."""
    live = await drafts.live(tx, KIND)
    before = parse_identity_rules(live[0].body, version=UNPUBLISHED) if live else IdentityRules()
    changed = sorted(
        name
        for name in before.types.keys() | rules.types.keys()
        if before.of(name).normaliser != rules.of(name).normaliser
    )
    known = await identifiers.known_types(tx, changed) if changed else []
    if known:
        raise Conflict(
            f"The normaliser of {', '.join(known)} cannot change any more: identifiers of that type"
            " are stored, and would not be found in another form. Give new ones another type."
        )
    if changed and await suppression.any_suppressed(tx):
        raise Conflict(
            f"The normaliser of {', '.join(changed)} cannot change any more: people were erased,"
            " whose identifiers would not be known in another form. Give new ones another type."
        )
