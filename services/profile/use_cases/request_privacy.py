"""Take a privacy request, make a correction, and hand out what was asked for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.storage import privacy_exports, privacy_requests
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.read_profile import read_profile
from services.profile.use_cases.rectify_traits import rectify_traits
from services.profile.use_cases.split_profile import split_profile
from shared.contracts.topics import Topics
from shared.errors import Conflict, Gone, NotFound
from shared.ids import time_ordered_id
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit
from shared.postgres.audit import Who

KIND = "privacy_request"


class Correction(NamedTuple):
    """Values of traits (None removes one), identifiers that are somebody else's, and why."""

    traits: Mapping[str, Any]
    removed: Sequence[str]
    reason: str


async def request(
    tx: AsyncConnection,
    kind: str,
    profile_id: str,
    *,
    suppress: bool = False,
    who: Who,
    can_erase: bool = True,
) -> str:
    """The id of the request, which a sweeper will see to; that of the one that is open already,
    which learns that the person asked to be suppressed for ever.

    Raises NotFound, Gone for a profile that was erased, and Conflict when nobody can be erased
    because there is no key.
    """
    stored = await read_profile(tx, profile_id)
    if kind == "erasure" and not can_erase:
        raise Conflict("nobody can be erased: CONCERT_SUPPRESSION_KEY_FILE is not set")
    known = await privacy_requests.open_of(tx, kind, stored.id)
    if known is not None:
        if suppress and not known.suppress:
            if not await privacy_requests.suppress(tx, known.id):
                raise Gone(f"Profile {stored.id} was erased at this instant.")
            after = {"kind": kind, "profile": stored.id, "suppress": True}
            await audit.append(tx, who=who, kind=KIND, key=known.id, action="request", after=after)
        return known.id
    id_ = str(time_ordered_id())
    await privacy_requests.insert(
        tx,
        id_=id_,
        kind=kind,
        profiles=[stored.id],
        suppress=suppress,
        who=who.id,
        who_name=who.name,
    )
    after = {"kind": kind, "profile": stored.id, "suppress": suppress}
    await audit.append(tx, who=who, kind=KIND, key=id_, action="request", after=after)
    return id_


async def rectify(
    tx: AsyncConnection,
    profile_id: str,
    correction: Correction,
    *,
    who: Who,
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> str:
    """Make a correction; the id of the finished request. The receipt names traits and counts
    identifiers, and has no value of either.

    Raises what `rectify_traits` and `split_profile` do.
    """
    stored = await read_profile(tx, profile_id)
    if correction.removed:
        await split_profile(
            tx,
            stored.id,
            correction.removed,
            dry_run=False,
            why=correction.reason,
            who=who,
            may_replace=_may_replace,
            rules=rules,
            live=live,
            topics=topics,
            counts=counts,
        )
    if correction.traits:
        await rectify_traits(
            tx,
            stored.id,
            correction.traits,
            who=who,
            rules=rules,
            live=live,
            topics=topics,
            counts=counts,
        )
    return await _done(tx, stored.id, correction, who)


async def _done(tx: AsyncConnection, profile_id: str, correction: Correction, who: Who) -> str:
    """Keep a correction as a request that is finished already."""
    id_ = str(time_ordered_id())
    await privacy_requests.insert(
        tx,
        id_=id_,
        kind="rectification",
        profiles=[profile_id],
        suppress=False,
        who=who.id,
        who_name=who.name,
    )
    receipt = {
        "traits": sorted(correction.traits),
        "identifiers_removed": len(correction.removed),
    }
    await privacy_requests.finish(tx, id_, receipt=receipt)
    await audit.append(
        tx,
        who=who,
        kind=KIND,
        key=id_,
        action="rectify",
        after={"profile": profile_id, **receipt, "why": correction.reason},
    )
    return id_


async def download(tx: AsyncConnection, request_id: str, *, who: Who) -> bytes:
    """The first part of a document; that it was handed out is audited.

    Raises NotFound, Conflict while it is not written, and Gone when its time is over or the person
    was erased since.
    """
    found = await privacy_requests.read(tx, request_id)
    if found is None or found.kind != "access":
        raise NotFound(f"There is no document of a privacy request {request_id}.")
    if found.status != "completed":
        raise Conflict(f"The document of {request_id} is {found.status}.")
    first = await privacy_exports.read(tx, request_id, 0)
    if first is None:
        raise Gone(f"The document of {request_id} is not kept any more.")
    await audit.append(tx, who=who, kind=KIND, key=request_id, action="download")
    return first


def _may_replace(_: int | None) -> None:
    """A correction is made whatever the version is."""
