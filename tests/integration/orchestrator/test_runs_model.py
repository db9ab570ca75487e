"""Any interleaving of events, timers, crashes, edits, merges and pauses over two workers: each step
has at most one effect, and every run stands where the naive single-threaded model stands.

A play is drawn by its seed, and can be played again alone: `-k "[17]"`. CONCERT_MODEL_EXAMPLES says
how many plays, CONCERT_MODEL_STEPS how long each of them is.
"""

import os
from collections import Counter
from datetime import timedelta
from random import Random

import pytest

from tests.integration.orchestrator.journeys.checks import left_of
from tests.integration.orchestrator.journeys.play import Play
from tests.integration.orchestrator.journeys.steps import finish, step
from tests.integration.orchestrator.journeys.town import Town, people
from tests.integration.orchestrator.stage import Stage

EXAMPLES = int(os.environ.get("CONCERT_MODEL_EXAMPLES", "40"))
STEPS = int(os.environ.get("CONCERT_MODEL_STEPS", "40"))


@pytest.mark.parametrize("seed", range(EXAMPLES))
async def test_runs_stand_where_the_naive_model_stands(stage: Stage, seed: int) -> None:
    rng = Random(seed)
    start = await stage.now() - timedelta(minutes=1)
    play = Play(stage, Town(stage, f"play-{seed}", start, people(rng.randint(3, 6))), rng)
    try:
        await play.load()
        for _ in range(STEPS):
            await step(play)
        await finish(play)
        await _is_over(play)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}\n{play.history()}") from error


async def _is_over(play: Play) -> None:
    """Nobody is stuck, no message went out twice, and nothing is left of who was erased."""
    gone = play.town.gone
    assert all(one.ended for one in play.world.walkers.values() if one.name.home not in gone)
    assert await play.stage.scalar("SELECT count(*) FROM run_sweep") == 0
    sent = Counter(
        (one.topic, one.value["action_id"], one.value["kind"])
        for one in await play.stage.messages() if ".actions." in f".{one.topic}"
    )  # fmt: skip
    assert not [one for one, count in sent.items() if count > 1]
    assert await left_of(play.stage, gone) == []
