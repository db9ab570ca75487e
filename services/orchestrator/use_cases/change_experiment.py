"""Ends experiments, in part or altogether: people do, or what is read at a look."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.conclude import follow, stop_arms
from services.orchestrator.domain.experiments.readout import ReadOut
from services.orchestrator.domain.experiments.verdict import Verdict
from services.orchestrator.storage import experiments, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.experiments import State, StoredExperiment
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.count_experiment import count_experiment
from services.orchestrator.use_cases.read_experiments import running_of
from shared.contracts.times import rfc3339
from shared.errors import Conflict, Infrastructure, Problem, Unprocessable
from shared.postgres import audit, drafts, epochs
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

WHO = audit.Who("poller", "poller: what was read of the experiment")

Change = Callable[[Running], Running]


async def stop_experiment(
    engine: AsyncEngine, key: str, arm: str | None, *, who: audit.Who
) -> Draft:
    """Stop one arm, whose people get what the control gets from now on; or all of it. Doing it
    again changes nothing. Raises NotFound, Unprocessable for an arm that is none or the control,
    and Conflict when it is not live."""

    def change(running: Running) -> Running:
        if arm is None:
            return running if running.is_over else replace(running, ended=True)
        _check_arm(running, arm)
        if arm == running.experiment.control:
            message = "is the control, which everybody gets; without an arm all of it is stopped"
            raise Unprocessable("the arm cannot be stopped", [Problem("arm", "control", message)])
        return stop_arms(running, [arm])

    return await _change(engine, key, "stop", change, who)


async def conclude_experiment(engine: AsyncEngine, key: str, arm: str, *, who: audit.Who) -> Draft:
    """One arm is for everybody from now on. Doing it again changes nothing; what was stopped
    altogether may still be concluded. Raises NotFound, Unprocessable for an arm that is none, and
    Conflict when it is not live or another arm has won."""

    def change(running: Running) -> Running:
        _check_arm(running, arm)
        if running.winner not in (None, arm):
            raise Conflict(f"experiment {key} is over: {running.winner} has won")
        return replace(running, winner=arm, ended=False)

    return await _change(engine, key, "conclude", change, who)


async def archive_experiment(engine: AsyncEngine, key: str, *, who: audit.Who) -> Draft:
    """Take it out of force. With that it is over: nothing is counted any more, so it is read as of
    now from now on. Raises as `change_status`."""

    async def also(tx: AsyncConnection) -> None:
        state = await experiments.state(tx, key)
        if state is not None and state.over_at is None:
            await experiments.put(tx, key, replace(state, over_at=await timers.now(tx)))

    return await change_status(engine, Kind.EXPERIMENT, key, "archive", who=who, also=also)


async def look_at_experiments(engine: AsyncEngine) -> int:
    """Read out every experiment that runs, stop what does harm and apply what has won, where its
    document says so; how many changed. Raises Infrastructure at the end, where one could not be
    read: too large a one does not keep the others from being looked at."""
    async with transaction(engine) as tx:
        keys = [one.version.key for one in await experiments.live(tx) if one.state.over_at is None]
    changed, trouble = 0, None
    for key in keys:
        try:
            changed += await _look(engine, key)
        except Infrastructure as error:
            trouble = error
    if trouble is not None:
        raise trouble
    return changed


async def _look(engine: AsyncEngine, key: str) -> bool:
    async with transaction(engine) as tx:
        now = await timers.now(tx)
        await experiments.lock(tx)
        await drafts.lock(tx, Kind.EXPERIMENT, key)  # whoever archives it takes no other lock
        found = await _in_force(tx, key)
        if found is None or found[1].is_over:
            return False
        stored, running = found
        _, read = await count_experiment(tx, running, since=stored.state.phase_at, until=now)
        called = stored.state.called or called_of(read, now)
        verdict = as_called(read.verdict, called)
        after = follow(running, verdict)
        if called != stored.state.called and after is running:
            await experiments.put(tx, key, replace(stored.state, called=called))
        if after is running:
            return False
        await _keep(tx, stored, running, after, "look", WHO, called=called, why=_why(verdict))
        return True


def called_of(read: ReadOut, at: datetime) -> dict[str, Any] | None:
    """The verdict, where there is one at this look."""
    verdict = read.verdict
    if verdict.outcome not in ("winner", "no_difference"):
        return None
    return {
        "outcome": verdict.outcome, "arm": verdict.arm, "why": verdict.why, "at": rfc3339(at)
    }  # fmt: skip


def as_called(verdict: Verdict, called: Mapping[str, Any] | None) -> Verdict:
    """The verdict with the outcome that was called, whatever the figures say at a later look."""
    if called is None:
        return verdict
    return replace(verdict, outcome=called["outcome"], arm=called["arm"], why=called["why"])


async def _change(
    engine: AsyncEngine, key: str, action: str, change: Change, who: audit.Who
) -> Draft:
    async with transaction(engine) as tx:
        await experiments.lock(tx)
        draft = drafts.there(await drafts.lock(tx, Kind.EXPERIMENT, key), "experiment", key)
        found = await _in_force(tx, key)
        if found is None:
            raise Conflict(f"experiment {key} is {draft.status}; {action} is for what is live.")
        stored, running = found
        after = change(running)
        if (after.stopped, after.winner, after.ended) != (
            running.stopped, running.winner, running.ended,
        ):  # fmt: skip
            await _keep(tx, stored, running, after, action, who, called=stored.state.called)
        return draft


async def _in_force(tx: AsyncConnection, key: str) -> tuple[StoredExperiment, Running] | None:
    stored = [one for one in await experiments.live(tx) if one.version.key == key]
    running = running_of(stored)
    return (stored[0], running[0]) if running else None


async def _keep(
    tx: AsyncConnection,
    stored: StoredExperiment,
    before: Running,
    after: Running,
    action: str,
    who: audit.Who,
    *,
    called: dict[str, Any] | None,
    why: str | None = None,
) -> None:
    key, state = stored.version.key, stored.state
    over_at = state.over_at or (await timers.now(tx) if after.is_over else None)
    await experiments.put(
        tx,
        key,
        State(
            traffic=state.traffic,
            split=state.split,
            phase=state.phase,
            phase_at=state.phase_at,
            stopped=after.stopped,
            winner=after.winner,
            ended=after.ended,
            over_at=over_at,
            called=called,
        ),
    )
    said = {} if why is None else {"why": why}
    await audit.append(
        tx, who=who, kind=str(Kind.EXPERIMENT), key=key, action=action,
        before=_shown(before), after={**_shown(after), **said},
    )  # fmt: skip
    await epochs.bump_epoch(tx)


def _check_arm(running: Running, arm: str) -> None:
    if arm not in running.experiment.weights:
        known = ", ".join(running.experiment.weights)
        message = f"is none of the arms: {known}"
        raise Unprocessable("there is no such arm", [Problem("arm", "unknown_arm", message)])


def _shown(running: Running) -> dict[str, Any]:
    return {
        "version": running.experiment.version,
        "stopped": sorted(running.stopped),
        "winner": running.winner,
        "ended": running.ended,
    }


def _why(verdict: Verdict) -> str:
    harm = "; ".join(f"{one.arm} does harm in {one.metric}" for one in verdict.harms)
    return f"{harm}; {verdict.why}" if harm else verdict.why
