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
    roles, concerned = own_concert.running, own_concert.who_needs(server)

    async def ready() -> dict[str, bool]:
        answers = await asyncio.gather(*(process.is_ready() for process in roles.values()))
        return dict(zip(roles, answers, strict=True))

    with own_concert.stack.frozen(server):
        await eventually(
            ready,
            until=lambda found: all(
                is_ready != (role in concerned) for role, is_ready in found.items()
            ),
            within=SECONDS,
            what=f"every role that needs it notices that {server} is away",
        )
    await eventually(
        ready,
        until=lambda found: all(found.values()),
        within=BACK_SECONDS,
        what=f"every role is ready again after {server} came back",
    )
    assert all(process.exit_code() is None for process in roles.values())
