"""Lets go of what was kept long enough, in bounded batches: a background task of the sweeper.

A touchpoint whose time is over keeps what identity and sums are made of: whom it named, what it
said of traits, the amount of an order. So no sum changes and who is who can still be made again;
the rest of it is gone, and it is in no timeline and no new definition any more. A profile of
devices alone is erased like a person, by a request that everybody can see.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.erased import expired
from services.profile.domain.retention import TouchpointRetention, is_anonymous
from services.profile.storage import listing, privacy_exports, privacy_requests, retention
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.touchpoint import envelope_decoder
from shared.errors import Infrastructure
from shared.ids import time_ordered_id
from shared.observability import metrics
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

PAGE = 2000
MOST_AT_ONCE = 500
"""Profiles in one erasure: everybody's touchpoints are looked through once for all of them."""
EVERY_SECONDS = 3600.0
NIL = "00000000-0000-0000-0000-000000000000"
RETENTION = Who("retention", "retention")


@dataclass(frozen=True, slots=True)
class Kept:
    """How long what is kept. `anonymous` None: for ever."""

    touchpoints: TouchpointRetention
    anonymous: timedelta | None
    receipts_days: int


class Retain:
    """The task; remembers how far it has come, and begins anew when the process does."""

    def __init__(self, engine: AsyncEngine, kept: Kept, rules: Callable[[], Rules]) -> None:
        self._engine = engine
        self._kept = kept
        self._rules = rules

    async def run(self, stopping: asyncio.Event) -> None:
        """Go through everything once an hour, until told to stop."""
        while not stopping.is_set():
            try:
                await self.once(stopping)
            except Infrastructure as error:
                logger.warning("retention: not everything was looked at: %s", error)
            await wait(stopping, EVERY_SECONDS)

    async def once(self, stopping: asyncio.Event) -> None:
        """Go through everything. Raises Infrastructure when PostgreSQL is away."""
        await self._forget_papers(stopping)
        await self._thin_touchpoints(stopping)
        await self._erase_anonymous()

    async def _forget_papers(self, stopping: asyncio.Event) -> None:
        more = True
        while more and not stopping.is_set():
            async with transaction(self._engine) as tx:
                exports = await privacy_exports.forget_expired(tx, 100)
                receipts = await privacy_requests.forget_receipts(
                    tx, days=self._kept.receipts_days, limit=PAGE
                )
            metrics.RETENTION_REMOVED.labels(what="exports").inc(exports)
            metrics.RETENTION_REMOVED.labels(what="receipts").inc(receipts)
            more = exports == 100 or receipts == PAGE

    async def _thin_touchpoints(self, stopping: asyncio.Event) -> None:
        shortest = self._kept.touchpoints.shortest
        after: str | None = None if shortest is None else NIL
        while shortest is not None and after is not None and not stopping.is_set():
            async with transaction(self._engine) as tx:
                now = await listing.business_time(tx)
                old, after = await retention.old_touchpoints(
                    tx, after=after, before=now - shortest, limit=PAGE
                )
                over = {}
                for one in old:
                    told = envelope_decoder.decode(one.body)
                    received = parse_rfc3339(told.received_at)
                    if self._kept.touchpoints.is_over(told.type, received, now):
                        over[one.id] = expired(one.body)
                thinned = await retention.thin(tx, over) if over else 0
            metrics.RETENTION_REMOVED.labels(what="touchpoints").inc(thinned)

    async def _erase_anonymous(self) -> None:
        """Ask for the erasure of those that are due, unless the last such request is open still."""
        if self._kept.anonymous is None:
            return
        rules = self._rules().identity
        async with transaction(self._engine) as tx:
            if await privacy_requests.is_open_by(tx, RETENTION.id):
                return
            before = await listing.business_time(tx) - self._kept.anonymous
            found: list[str] = []
            after = NIL
            while len(found) < MOST_AT_ONCE:
                page = await retention.unseen(tx, after=after, before=before, limit=PAGE)
                found += [one.id for one in page if is_anonymous(one.keys, rules)]
                if len(page) < PAGE:
                    break
                after = page[-1].id
            if not found:
                return
            id_ = str(time_ordered_id())
            await privacy_requests.insert(
                tx,
                id_=id_,
                kind="erasure",
                profiles=found[:MOST_AT_ONCE],
                suppress=False,
                who=RETENTION.id,
                who_name=RETENTION.name,
                position=rfc3339(before),
            )
            await audit.append(
                tx,
                who=RETENTION,
                kind="privacy_request",
                key=id_,
                action="request",
                after={"kind": "erasure", "profiles": len(found[:MOST_AT_ONCE])},
            )
        metrics.RETENTION_REMOVED.labels(what="profiles").inc(len(found[:MOST_AT_ONCE]))
