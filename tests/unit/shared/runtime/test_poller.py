"""The timer loop: one timer that cannot be fired does not hold back the others."""

import asyncio

from shared.errors import Infrastructure
from shared.runtime import poller


async def run(due: list[str], *, away: int = 0) -> tuple[list[str], list[str]]:
    """Fire `due` in order; `bad` raises for ever. Returns what fired and what was put off."""
    waiting = list(due)
    fired: list[str] = []
    put_off: list[str] = []
    stopping = asyncio.Event()
    trouble = away

    async def fire(limit: int) -> int:
        nonlocal trouble
        if trouble:
            trouble -= 1
            raise Infrastructure("postgres", "away")
        batch = waiting[:limit]
        if "bad" in batch:
            raise ZeroDivisionError("a bug")
        fired.extend(batch)
        del waiting[:limit]
        if not waiting:
            stopping.set()
        return len(batch)

    async def postpone() -> None:
        put_off.append(waiting.pop(0))

    async with asyncio.timeout(20):
        await poller.poll(fire, postpone, stopping)
    return fired, put_off


async def test_all_fire_together_when_nothing_is_wrong() -> None:
    assert await run(["a", "b", "c"]) == (["a", "b", "c"], [])


async def test_a_bad_timer_is_put_off_and_the_others_fire() -> None:
    assert await run(["a", "bad", "b", "c"]) == (["a", "b", "c"], ["bad"])


async def test_nothing_is_put_off_because_the_database_is_away() -> None:
    assert await run(["a", "b"], away=2) == (["a", "b"], [])
