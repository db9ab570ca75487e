"""A profile worker with a slow relay, and as a mutant one whose relay has no single owner.

`python -m tests.chaos.relay_without_owner owner|mutant`. Both wait a random moment between reading
a frame and publishing it, as a busy process does. The mutant takes whatever frame nobody holds at
the moment (`SKIP LOCKED`, publish, delete in one transaction), which looks safe and is not. Only
tests start this.
"""

import asyncio
import random
import sys

from sqlalchemy import text

from services.profile.bootstrap import COMMANDS
from shared.kafka.messages import Message
from shared.postgres import outbox
from shared.postgres.outbox import Frame
from shared.postgres.transaction import transaction
from shared.runtime.cli import main
from shared.runtime.relay import FRAMES_A_SHARD, Relay

SLOWEST = 0.1
_TAKE = text(
    "SELECT shard, id, topic, part, frame FROM outbox ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_DELETE = text("DELETE FROM outbox WHERE shard = :shard AND id = :id")


async def step_without_owner(relay: Relay) -> list[Frame]:
    """Publish one frame that no other process is publishing at the moment. What is returned looks
    like a full round, after which there is no pause."""
    async with transaction(relay._engine) as tx:
        row = (await tx.execute(_TAKE)).first()
        if row is None:
            return []
        await _dawdle()
        messages: list[Message] = outbox.decode_frame(row.frame)
        await relay._publisher.publish([((row.topic, row.part), messages)])
        await tx.execute(_DELETE, {"shard": row.shard, "id": row.id})
    return [Frame(*row)] * FRAMES_A_SHARD


async def slow_step(relay: Relay) -> list[Frame]:
    """The true step, after a pause."""
    await _dawdle()
    return await _true_step(relay)


async def _dawdle() -> None:
    await asyncio.sleep(random.uniform(0, SLOWEST))


_true_step = Relay.step

if __name__ == "__main__":
    Relay.step = step_without_owner if sys.argv[1] == "mutant" else slow_step  # type: ignore[method-assign, assignment]
    sys.exit(main("profile", COMMANDS, ["worker"]))
