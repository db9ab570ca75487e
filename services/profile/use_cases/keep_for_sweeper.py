"""Keep events that name no person but an audience: a sweeper takes them to the members."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorbed import Arrival
from services.profile.domain.audience import AUDIENCE
from services.profile.storage import audience_jobs, touchpoints
from shared.contracts.touchpoint import touchpoint_decoder


async def keep_for_sweeper(tx: AsyncConnection, fresh: Sequence[Arrival]) -> None:
    """Of touchpoints that are stored just now, those with an audience are nobody's; each becomes
    a job."""
    meant = [one for one in fresh if one.touchpoint.has_audience]
    await touchpoints.anchor(
        tx, {one.touchpoint.id: None for one in meant}, reason_if_none=AUDIENCE
    )
    await audience_jobs.insert(tx, [_job(one) for one in meant])


def _job(arrival: Arrival) -> audience_jobs.NewJob:
    touchpoint = arrival.touchpoint
    message_id = touchpoint_decoder.decode(arrival.body).message_id
    return audience_jobs.NewJob(
        touchpoint.id,
        touchpoint.source,
        message_id,
        touchpoint.type,
        bytes(touchpoint.audience),
    )
