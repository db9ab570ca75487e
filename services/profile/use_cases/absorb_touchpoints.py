"""Absorb a batch of touchpoints: the handler of the profile worker, and the hot path of Concert.

Everything happens in the transaction that the stream loop opened, in the one lock order: leases
(the loop), deduplication keys, profiles, identifiers, the rest. Nothing is kept in memory between
batches: after a rollback the same records must lead to the same result.

The counters of the sources come last, on the shard of a partition whose lease this batch holds.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Fold, Rules
from services.profile.domain.absorbed import NO_IDENTITY, Absorbed, Arrival, Known
from services.profile.domain.definitions import Look
from services.profile.domain.evidence import encode_notes
from services.profile.domain.identity import stand_in
from services.profile.storage import (
    consent_history,
    counters,
    deadlines,
    evidence,
    groups,
    identifiers,
    merges,
    profiles,
    touchpoints,
)
from services.profile.storage.suppression import Erasures
from services.profile.use_cases.keep_for_sweeper import keep_for_sweeper
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import NAMING
from services.profile.use_cases.read_record import Incoming, read_record
from services.profile.use_cases.report_absorbed import report_absorbed
from services.profile.use_cases.suppress_late import suppress_late
from shared import clock
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import TouchpointEnvelope
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.records import Record
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled

POINTS = (
    "profile.decoded",
    "profile.deduped",
    "profile.locked",
    "profile.folded",
    "profile.written",
)
"""Where a test may kill the worker."""

BREATH_SECONDS = 0.0005
"""So long a fold keeps the process for itself."""

TRIES = 3
"""How often another worker may meet the same people first, before the batch starts over."""


class _Locked(NamedTuple):
    """What is locked, and what had been erased by then."""

    known: Known
    erasures: Erasures


@dataclass(slots=True)
class _Ids:
    """Database keys of identifiers, computed once a batch."""

    known: dict[str, str]

    def of(self, key: str) -> str:
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = identifiers.identifier_id(key)
        return found


class AbsorbTouchpoints:
    """The stateful handler of topic `touchpoints`. `rules` gives those in force; one batch goes by
    one set of them. `secret` is the key of suppressed identifiers."""

    def __init__(
        self,
        *,
        topics: Topics,
        counts: PartitionCounts,
        rules: Callable[[], Rules],
        secret: bytes | None = None,
    ) -> None:
        self._topic = topics.profile_updates
        self._counts = counts
        self._rules = rules
        self._secret = secret
        self._live = LiveDefinitions()

    async def __call__(self, records: Sequence[Record], tx: AsyncConnection) -> Handled:
        """Absorb consecutive records of one or more partitions, in the order given.

        Raises PartitionStopped when a record is no touchpoint (the topic is our own), and
        Infrastructure when other workers keep being faster.
        """
        rules = self._rules()
        handled = Handled(OutboxBuffer(self._counts))
        incoming = [read_record(record, rules) for record in records]
        crash_point("profile.decoded")
        ids = _Ids({})
        batch, fresh, duplicate = await _drop_seen(tx, incoming, ids, handled)
        crash_point("profile.deduped")
        named = [one for one in fresh if not one.touchpoint.has_audience]
        if named:
            look = await self._live.look(tx)
            absorbed, applied = await self._absorb(tx, named, ids, rules, look)
            crash_point("profile.folded")
            if applied:
                await _write(tx, absorbed, ids)
                await evidence.add_batch(
                    tx,
                    batch=batch,
                    rules=rules.identity.version,
                    touchpoints=[arrival.touchpoint.id for arrival in applied],
                    profiles=absorbed.placed,
                    notes=encode_notes(absorbed.notes) if absorbed.notes else None,
                )
            for profile_id, message in absorbed.messages:
                handled.messages.add(self._topic, profile_id.encode(), message)
            handled.after_commit.append(partial(report_absorbed, absorbed.outcomes))
        if len(named) < len(fresh):
            await keep_for_sweeper(tx, fresh)
        await counters.add(
            tx,
            shard=min(record.partition for record in records),
            accepted=Counter(arrival.touchpoint.source for arrival in fresh),
            duplicate=duplicate,
        )
        crash_point("profile.written")
        return handled

    async def _absorb(
        self, tx: AsyncConnection, fresh: list[Arrival], ids: _Ids, rules: Rules, look: Look
    ) -> tuple[Absorbed, list[Arrival]]:
        """Lock, load and fold what is not suppressed, and say what that was; from the start again
        when another worker was there first."""
        await profiles.set_savepoint(tx)
        shared: set[str] = set()
        lost = 0
        while lost < TRIES:
            locked = await _lock(tx, fresh, ids, shared, look)
            if locked is not None and locked.known.shared <= shared:
                crash_point("profile.locked")
                late = await suppress_late(tx, fresh, locked.known, locked.erasures, self._secret)
                applied = [one for one in fresh if one.touchpoint.id not in late] if late else fresh
                absorbed = await _fold(applied, locked.known, rules)
                absorbed.outcomes["suppressed"] = len(late)
                if await _claim(tx, absorbed.assigned, ids):
                    return absorbed, applied
            if locked is None or locked.known.shared <= shared:
                lost += 1
            else:
                shared |= locked.known.shared
            await profiles.back_to_savepoint(tx)
        raise Infrastructure("postgres", "other workers keep changing the same profiles")


async def _fold(fresh: Sequence[Arrival], known: Known, rules: Rules) -> Absorbed:
    """Fold, and let the other partitions of this process have their turn now and then: a storm of
    merges, or a crowd around one large profile, must not hold them up."""
    fold = Fold(known, rules, NAMING)
    since = clock.monotonic_seconds()
    for arrival in fresh:
        fold.apply(arrival)
        if clock.monotonic_seconds() - since > BREATH_SECONDS:
            await asyncio.sleep(0)
            since = clock.monotonic_seconds()
    return fold.finish()


async def _drop_seen(
    tx: AsyncConnection, incoming: Sequence[Incoming], ids: _Ids, handled: Handled
) -> tuple[int, list[Arrival], Counter[str]]:
    """Store the touchpoints as a batch, and return its number, those that had not been stored
    before, and how many duplicates each source sent.

    The same raw position again is our own redelivery; another one is a client's duplicate, which
    is noted.
    """
    first: dict[str, Incoming] = {}
    again = [one for one in incoming if first.setdefault(one.arrival.touchpoint.id, one) is not one]
    batch, seen = await touchpoints.insert(tx, [_row(one.arrival, ids) for one in first.values()])
    if not seen and not again:
        return batch, [one.arrival for one in incoming], Counter()
    again += [first[id_] for id_ in seen]
    stored = {id_: one.arrival.touchpoint.raw for id_, one in first.items()}
    if seen:
        stored |= await touchpoints.raw_positions(tx, list(seen))
    duplicates = []
    for one in again:
        handled.dedup(one.record)
        if one.arrival.touchpoint.raw != stored[one.arrival.touchpoint.id]:
            duplicates.append(_duplicate(one.arrival.touchpoint))
    noted = await touchpoints.insert_duplicates(tx, duplicates)
    return batch, [one.arrival for id_, one in first.items() if id_ not in seen], noted


async def _lock(
    tx: AsyncConnection, fresh: Sequence[Arrival], ids: _Ids, shared: Set[str], look: Look
) -> _Locked | None:
    """Lock every profile that the touchpoints name; None if one changed hands meanwhile.

    `shared` are identifiers that are known to be many people's: their stand-ins are locked too.
    Should there be more of them, what this returns names them.
    """
    keys = list({key: None for arrival in fresh for key in arrival.usable.keys})
    keys += map(stand_in, shared)
    hints = {arrival.usable.hint for arrival in fresh if arrival.usable.hint is not None}
    asked = [ids.of(key) for key in keys]
    aliases = await profiles.current(tx, sorted(hints)) if hints else {}
    locked = await profiles.lock(tx, identifiers=asked, profiles=list(aliases.values()))
    found = await identifiers.owners(tx, asked)
    named = {*found.profiles.values(), *aliases.values()}
    if any(one not in locked or locked[one].status != "active" for one in named):
        return None
    owners = {keys[n]: owner for n, owner in found.profiles.items()}
    known = Known(
        locked, owners, aliases, shared=frozenset(keys[n] for n in found.shared), look=look
    )
    return _Locked(known, found.erasures)


async def _claim(tx: AsyncConnection, assigned: Mapping[str, str], ids: _Ids) -> bool:
    """Insert the new identifiers; False if another worker inserted one of them first."""
    return await identifiers.insert(
        tx,
        [
            identifiers.NewIdentifier(ids.of(key), type_, value, profile_id)
            for key, profile_id in assigned.items()
            for type_, value in [key.split("\0", 1)]
        ],
    )


async def _write(tx: AsyncConnection, absorbed: Absorbed, ids: _Ids) -> None:
    await profiles.write(tx, absorbed.changed)
    await consent_history.append_said(tx, absorbed.said)
    await deadlines.write(tx, absorbed.changed)
    await identifiers.move(tx, {ids.of(key): to for key, to in absorbed.moved.items()})
    await identifiers.share(tx, [ids.of(key) for key in absorbed.shared])
    await merges.insert(tx, absorbed.merges)
    await groups.write(tx, absorbed.changed, absorbed.calls)
    await groups.hear(tx, absorbed.calls)
    await touchpoints.anchor(
        tx,
        {
            touchpoint_id: None if key is None else ids.of(key)
            for touchpoint_id, key in absorbed.anchors.items()
        },
        reason_if_none=NO_IDENTITY,
    )


def _row(arrival: Arrival, ids: _Ids) -> touchpoints.NewTouchpoint:
    touchpoint, body, named = arrival
    return touchpoints.NewTouchpoint(
        touchpoint.id,
        ids.of(named.keys[0]) if named.keys else None,
        touchpoint.occurred_at,
        touchpoint.raw,
        body,
    )


def _duplicate(touchpoint: TouchpointEnvelope) -> touchpoints.Duplicate:
    raw = touchpoint.raw
    return touchpoints.Duplicate(
        touchpoint.id, raw.topic, raw.partition, raw.offset, touchpoint.source
    )
