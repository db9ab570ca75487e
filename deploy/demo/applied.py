"""Waits, never for ever, until Concert has done something with what was published.

What became of each event is asked of the public APIs; a wait that runs out says what is missing,
which role should have done it and where that role's log is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from deploy.demo.concert import Concert
from deploy.demo.errors import DemoError
from deploy.demo.event import Event
from shared import clock

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1
AT_ONCE = 20
"""Questions in flight at the same time."""

Fates = Mapping[UUID, int]
"""Copies that were applied or recognised as duplicates, by touchpoint id; absent: none."""


async def fates(concert: Concert, events: Sequence[Event]) -> dict[UUID, int]:
    """How many copies of each event Concert has seen."""
    found: dict[UUID, int] = {}
    for start in range(0, len(events), AT_ONCE):
        ids = [event.touchpoint_id for event in events[start : start + AT_ONCE]]
        answers = await asyncio.gather(
            *(concert.profiles.find(f"/v1/touchpoints/{touchpoint}") for touchpoint in ids)
        )
        found |= {
            touchpoint: 1 + int(fate["duplicates"])
            for touchpoint, fate in zip(ids, answers, strict=True)
            if fate is not None
        }
    return found


async def until_applied(
    concert: Concert, events: Sequence[Event], before: Fates, say: Callable[[str], None]
) -> None:
    """Wait until one copy more than `before` of each event is applied or counted as a duplicate."""
    waiting = list(events)

    async def still_waiting() -> int:
        """Ask about the first few again, and about the others only once these are through."""
        while waiting:
            asked = waiting[:AT_ONCE]
            now = await fates(concert, asked)
            late = [
                event
                for event in asked
                if now.get(event.touchpoint_id, 0) <= before.get(event.touchpoint_id, 0)
            ]
            waiting[:AT_ONCE] = late
            if late:
                break
        return len(waiting)

    def missing() -> str:
        first, topics = waiting[0], concert.access.topics
        return (
            f"{len(waiting)} of {len(events)} events were not applied, for example {first.type!r} "
            f"({first.id}) of {first.source}: the ingest or the profile worker does not keep up; "
            f"see ingest-worker.log and profile-worker.log in {concert.access.home / 'logs'}, "
            f"and refused events on {topics.dead_letters(topics.channel(first.channel))}"
        )

    await _until_none(still_waiting, missing, say, f"of {len(events)} events to go")


async def until_decided(
    concert: Concert, events: Sequence[Event], say: Callable[[str], None]
) -> None:
    """Wait until there is a decision about each event."""
    waiting = list(events)

    async def still_waiting() -> int:
        for event in list(waiting):
            found = await concert.orchestrator.get(
                "/v1/decisions", touchpoint_id=str(event.touchpoint_id)
            )
            if found["items"]:
                waiting.remove(event)
        return len(waiting)

    def missing() -> str:
        return (
            f"there is no decision about {waiting[0].type!r} ({waiting[0].id}): the orchestrator "
            "worker does not keep up, or the rule for it was changed; see orchestrator-worker.log "
            f"in {concert.access.home / 'logs'}"
        )

    await _until_none(still_waiting, missing, say, f"of {len(events)} decisions to go")


async def _until_none(
    still_waiting: Callable[[], Awaitable[int]],
    missing: Callable[[], str],
    say: Callable[[str], None],
    what: str,
) -> None:
    deadline = clock.monotonic_seconds() + PATIENCE_SECONDS
    told = clock.monotonic_seconds()
    while left := await still_waiting():
        now = clock.monotonic_seconds()
        if now > deadline:
            raise DemoError(f"after {PATIENCE_SECONDS:.0f} s {missing()}")
        if now - told > 2:
            told = now
            say(f"  {left} {what} …")
        await asyncio.sleep(POLL_SECONDS)
