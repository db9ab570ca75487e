"""Published experiments: the buckets they hold, their phase, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.experiments.layers import Span, Traffic
from services.orchestrator.domain.experiments.split import Share, Split
from services.orchestrator.storage.draft_kind import Kind
from shared.postgres import drafts
from shared.postgres.drafts import Version

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('concert.experiments'))")
_STATES = text(
    """
    SELECT experiment, traffic::text, split::text, phase, phase_at, stopped, winner, ended, over_at,
           called::text
      FROM experiment_state
     WHERE CAST(:keys AS text[]) IS NULL OR experiment = ANY(CAST(:keys AS text[]))
    """
)
_PUT = text(
    """
    INSERT INTO experiment_state (experiment, traffic, split, phase, phase_at, stopped, winner,
                                  ended, over_at, called)
    VALUES (:experiment, CAST(:traffic AS jsonb), CAST(:split AS jsonb), :phase, :phase_at,
            CAST(:stopped AS text[]), :winner, :ended, :over_at, CAST(:called AS jsonb))
    ON CONFLICT (experiment) DO UPDATE
       SET traffic = excluded.traffic, split = excluded.split, phase = excluded.phase,
           phase_at = excluded.phase_at, stopped = excluded.stopped, winner = excluded.winner,
           ended = excluded.ended, over_at = excluded.over_at, called = excluded.called
    """
)


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a published experiment beside its document. `phase_at` is when its phase
    began, `over_at` when it was over; `called` is the verdict of the first look at which there was
    one."""

    traffic: Traffic
    split: Split
    phase: int
    phase_at: datetime
    stopped: frozenset[str] = frozenset()
    winner: str | None = None
    ended: bool = False
    over_at: datetime | None = None
    called: dict[str, Any] | None = None

    def running(self, experiment: Experiment) -> Running:
        """The experiment of the document, as it runs."""
        return Running(
            experiment, self.traffic, self.split, self.phase, self.stopped, self.winner, self.ended
        )


@dataclass(frozen=True, slots=True)
class StoredExperiment:
    """The version of an experiment in force, and its state."""

    version: Version
    state: State


async def lock(tx: AsyncConnection) -> None:
    """Nobody else publishes or changes experiments until the transaction ends: they share out the
    people of their layers."""
    await tx.execute(_ONE_AT_A_TIME)


async def live(tx: AsyncConnection) -> list[StoredExperiment]:
    """All that are in force, by key; those that are over too: somebody may get what won."""
    versions = await drafts.live(tx, Kind.EXPERIMENT)
    if not versions:
        return []
    states = await _read(tx, [one.key for one in versions])
    return [StoredExperiment(one, states[one.key]) for one in versions if one.key in states]


async def state(tx: AsyncConnection, key: str) -> State | None:
    """What became of one; None when it was never published."""
    return (await _read(tx, [key])).get(key)


async def put(tx: AsyncConnection, key: str, now: State) -> None:
    """Keep the state."""
    await tx.execute(
        _PUT,
        {
            "experiment": key,
            "traffic": orjson.dumps([list(span) for span in now.traffic]).decode(),
            "split": orjson.dumps([(s.low, s.high, s.name) for s in now.split.shares]).decode(),
            "phase": now.phase,
            "phase_at": now.phase_at,
            "stopped": sorted(now.stopped),
            "winner": now.winner,
            "ended": now.ended,
            "over_at": now.over_at,
            "called": None if now.called is None else orjson.dumps(now.called).decode(),
        },
    )


async def _read(tx: AsyncConnection, keys: Sequence[str]) -> dict[str, State]:
    return {row.experiment: _state(row) for row in await tx.execute(_STATES, {"keys": list(keys)})}


def _state(row: Row[Any]) -> State:
    return State(
        traffic=tuple(Span(low, high) for low, high in orjson.loads(row.traffic)),
        split=Split(tuple(Share(*share) for share in orjson.loads(row.split))),
        phase=row.phase,
        phase_at=row.phase_at,
        stopped=frozenset(row.stopped),
        winner=row.winner,
        ended=row.ended,
        over_at=row.over_at,
        called=None if row.called is None else orjson.loads(row.called),
    )
