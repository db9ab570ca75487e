"""Keeps erased people from coming back by what is sent, or sent again, too late.

A touchpoint that happened or was received before an erasure and names one of its identifiers is
suppressed, whatever else it names: it speaks of the person who is gone. What she does afterwards
makes a new customer, unless she asked for nothing to be kept ever again.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorbed import Arrival, Known
from services.profile.domain.erased import SUPPRESSED, emptied
from services.profile.storage import erasing, suppression
from services.profile.storage.suppression import Erasures, Suppressed
from shared.contracts.times import rfc3339
from shared.errors import Infrastructure


async def suppress_late(
    tx: AsyncConnection,
    fresh: Sequence[Arrival],
    known: Known,
    erasures: Erasures,
    secret: bytes | None,
) -> set[str]:
    """The ids of the touchpoints that must not be applied; of these nothing is stored but that
    they came.

    `erasures` was read after the profiles were locked. Costs nothing before the first erasure, and
    asks the database only about touchpoints that are older than the latest one, name a profile
    that is not there, or bring new identifiers while somebody asked to be suppressed for ever.
    Raises Infrastructure when there are erasures but no key.
    """
    if not erasures.epoch:
        return set()
    if secret is None:
        raise Infrastructure(
            "suppression", "people were erased, and CONCERT_SUPPRESSION_KEY_FILE is not set"
        )
    newest = "" if erasures.newest is None else rfc3339(erasures.newest)
    strange = {hint for one in fresh if (hint := one.usable.hint) and hint not in known.aliases}
    asked = {
        key
        for one in fresh
        for key in one.usable.keys
        if _began(one) <= newest
        or (erasures.always and key not in known.owners and key not in known.shared)
    }
    gone = await suppression.gone(tx, strange) if strange else set()
    found = await suppression.find(tx, secret, asked) if asked else {}
    if not gone and not found:
        return set()
    late = [one for one in fresh if one.usable.hint in gone or _is_late(one, found)]
    await erasing.strip(
        tx, {one.touchpoint.id: emptied(one.touchpoint) for one in late}, reason=SUPPRESSED
    )
    return {one.touchpoint.id for one in late}


def _began(arrival: Arrival) -> str:
    """When the touchpoint happened or was received, whichever was earlier."""
    return min(arrival.touchpoint.occurred_at, arrival.touchpoint.received_at)


def _is_late(arrival: Arrival, found: Mapping[str, Suppressed]) -> bool:
    return any(
        one.always or _began(arrival) <= rfc3339(one.erased_at)
        for key in arrival.usable.keys
        if (one := found.get(key)) is not None
    )
