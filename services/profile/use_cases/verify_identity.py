"""Makes every profile again from the evidence and compares it with what is stored. Reads only."""

from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Arrival
from services.profile.domain.erased import usable_then
from services.profile.domain.profile import encode_state
from services.profile.domain.replay import Replay, Row, decode_decision, differences
from services.profile.storage import evidence, profiles, suppression
from services.profile.use_cases.load_rules import rules_of_version
from services.profile.use_cases.naming import NAMING
from shared.contracts.touchpoint import envelope_decoder
from shared.postgres.epochs import snapshot
from shared.postgres.transaction import transaction

PAGE = 50
"""Batches read at once; one has up to a thousand touchpoints."""


class Verified(NamedTuple):
    """How many steps of evidence were made again, the profiles they make, and where they differ
    from what is stored, in words."""

    steps: int
    profiles: int
    differences: list[str]


async def verify_identity(engine: AsyncEngine, traits: Rules) -> Verified:
    """Compare all profiles as of one instant; `traits` says how traits are kept.

    Holds every profile in memory. What was absorbed before evidence was kept shows as different.
    """
    async with transaction(engine) as tx:
        await snapshot(tx)
        replay = Replay(NAMING)
        known: dict[int, Rules] = {}
        after = steps = 0
        while page := await evidence.steps(tx, after=after, limit=PAGE):
            for step in page:
                rules = known.get(step.rules)
                if rules is None:
                    identity = await rules_of_version(tx, step.rules)
                    rules = known[step.rules] = Rules(identity=identity, traits=traits.traits)
                _make_again(replay, step, rules)
            after = page[-1].number
            steps += len(page)
        live = await _live(tx)
        gone = await suppression.all_gone(tx)
    return Verified(steps, len(replay.rows), differences(replay.rows, live, gone=gone))


def _make_again(replay: Replay, step: evidence.Step, rules: Rules) -> None:
    if step.decision is not None:
        replay.decide(decode_decision(step.decision), rules)
        return
    arrivals = []
    for body in step.bodies:
        touchpoint = envelope_decoder.decode(body)
        arrivals.append(Arrival(touchpoint, body, usable_then(touchpoint, body, rules.identity)))
    replay.take(arrivals, rules)


async def _live(tx: AsyncConnection) -> dict[str, Row]:
    found: dict[str, Row] = {}
    after = "00000000-0000-0000-0000-000000000000"
    while page := await profiles.page(tx, after=after, limit=1000):
        for one in page:
            state = encode_state(one.state)
            found[one.id] = Row(one.status, one.merged_into, one.seq, one.n_merges, state)
        after = page[-1].id
    return found
