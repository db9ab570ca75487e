"""Gives a published experiment its share of the people of its layer."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.assignment import Running, publish
from services.orchestrator.storage import experiments, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.experiments import State
from services.orchestrator.use_cases.check_configuration import parsed_experiment
from services.orchestrator.use_cases.read_experiments import running_of
from shared.postgres import drafts
from shared.postgres.drafts import Body, Draft, Status


async def resolved(
    tx: AsyncConnection, key: str, version: int, body: Body, before: Draft | None
) -> tuple[Running, State | None]:
    """The experiment of a document as it would run beside all others, and what became of it until
    now. Raises Conflict when its layer has not so much left, or another has its salt."""
    experiment = parsed_experiment(key, body, version)
    others = [one for one in await experiments.live(tx) if one.version.key != key]
    state = await experiments.state(tx, key)
    previous = None
    if before is not None and state is not None:
        last = await drafts.version(tx, Kind.EXPERIMENT, key, before.live_version)
        if last is not None:
            archived = before.status is not Status.LIVE
            previous = state.running(parsed_experiment(key, last.body, last.version))
            previous = _over(previous) if archived else previous
    return publish(experiment, previous, running_of(others)), state


async def share_out(tx: AsyncConnection, before: Draft, published: Draft, body: Body) -> None:
    """Keep how the version that was just published runs; `before` is the key as it was. All
    experiments must be locked."""
    assert published.live_version is not None  # noqa: S101 - it has just been published
    running, state = await resolved(tx, published.key, published.live_version, body, before)
    same = state is not None and state.phase == running.phase
    await experiments.put(
        tx,
        published.key,
        State(
            traffic=running.traffic,
            split=running.split,
            phase=running.phase,
            phase_at=state.phase_at if state is not None and same else await timers.now(tx),
            stopped=running.stopped,
            called=state.called if state is not None and same else None,
        ),
    )


def _over(running: Running) -> Running:
    """What was archived holds nobody any more."""
    return Running(running.experiment, running.traffic, running.split, running.phase, ended=True)
