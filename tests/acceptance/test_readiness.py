"""A role that lost Kafka or PostgreSQL is not ready within 10 s, and ready again by itself."""

import asyncio

import pytest

from tests.acceptance.concert import Concert
from tests.support.eventually import eventually

SECONDS = 10.0
BACK_SECONDS = 60.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("server", ["kafka", "postgres"])
async def test_readiness_follows_the_servers(own_concert: Concert, server: str) -> None:
    await own_concert.start()
    roles = own_concert.running

    async def everybody() -> dict[str, bool]:
        answers = await asyncio.gather(*(process.is_ready() for process in roles.values()))
        return dict(zip(roles, answers, strict=True))

    with own_concert.stack.frozen(server):
        await eventually(
            everybody,
            until=lambda ready: not any(ready.values()),
            within=SECONDS,
            what=f"every role notices that {server} is away",
        )
    await eventually(
        everybody,
        until=lambda ready: all(ready.values()),
        within=BACK_SECONDS,
        what=f"every role is ready again after {server} came back",
    )
    assert all(process.exit_code() is None for process in roles.values())
