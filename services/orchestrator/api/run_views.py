"""Bodies and answers of runs of journeys."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.domain.journeys.stats import Stats
from services.orchestrator.storage.journey_runs import Line, Place, StoredRun
from services.orchestrator.use_cases.order_run import STOPPED, Carried
from services.orchestrator.use_cases.show_run import ShownRun
from shared.http.masking import mask_text

MAX_BULK = 500
STATUSES = Literal["active", "waiting", "completed", "exited"]
PERSONAL = ("key",)
"""What of a run may say who somebody is."""


class RunView(BaseModel):
    """A run: one person in one journey. `occurrence` is the number of its step, which an order
    names; `stuck`: it should have gone on by itself and did not. `key` is masked for who may not
    see personal data."""

    id: UUID
    profile_id: UUID
    journey: str
    version: int
    node: str | None
    status: STATUSES
    reason: str | None
    entered_at: datetime
    wakes_at: datetime | None
    key: str
    occurrence: int
    since: datetime | None
    ended_at: datetime | None
    paused: bool
    stuck: bool


class LineView(BaseModel):
    """A line of a run's log: what happened at which step, and the word for it."""

    at: datetime
    kind: str
    node: str | None
    occurrence: int
    word: str


class ExplainedRunView(RunView):
    """A run with where it stands and why, in words, and the newest lines of its log in their order;
    `earlier`: there are more before them."""

    sentence: str
    log: list[LineView]
    earlier: bool


class NodeStatsView(BaseModel):
    """How many runs came to a node and stand there now, how many of its actions are on their way,
    were refused by reason, were answered, by which edges runs left, and how many conversions it has
    the credit for."""

    node: str
    entered: int
    waiting: int
    sent: int
    suppressed: dict[str, int]
    responded: dict[str, int]
    converted: int
    left: dict[str, int]


class StatsView(BaseModel):
    """How many runs there were and are, how many stand aside for another run of the same person
    (`merged`), why they ended, how many reached the goal; by node. `entered` is the sum of
    `under_way`, `merged` and `ended`, when all time is counted."""

    key: str
    entered: int
    under_way: int
    merged: int
    ended: dict[str, int]
    converted: int
    nodes: list[NodeStatsView]


class OrderBody(BaseModel):
    """The step at which the run was seen."""

    model_config = ConfigDict(extra="forbid")

    occurrence: int = Field(ge=0, le=2**31 - 1)


class MoveBody(OrderBody):
    """Where to."""

    node: str = Field(max_length=100)


class StopBody(OrderBody):
    """Why, as a code."""

    reason: str = Field(STOPPED, pattern=r"^[a-z][a-z0-9_]{0,63}$")


class FilterBody(BaseModel):
    """Which runs under way are meant; what is not named is any."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "waiting"] | None = None
    node: str | None = Field(None, max_length=100)
    version: int | None = Field(None, ge=1, le=2**31 - 1)
    profile_id: UUID | None = None
    stuck: bool = False


class BulkBody(BaseModel):
    """What is meant, and how many at once; `dry_run` only counts. `cursor` is `next_cursor` of the
    answer before."""

    model_config = ConfigDict(extra="forbid")

    filter: FilterBody = FilterBody()
    dry_run: bool = False
    limit: int = Field(100, ge=1, le=MAX_BULK)
    cursor: UUID | None = None


class BulkMoveBody(BulkBody):
    """Where to."""

    node: str = Field(max_length=100)


class BulkStopBody(BulkBody):
    """Why, as a code."""

    reason: str = Field(STOPPED, pattern=r"^[a-z][a-z0-9_]{0,63}$")


class PlaceView(BaseModel):
    """So many runs stand there."""

    version: int
    node: str | None
    runs: int


class RefusedView(BaseModel):
    """A run with which it was not done, and why."""

    id: UUID
    reason: str


class BulkView(BaseModel):
    """Where the runs stood that were meant, what was done with how many, and with which not;
    `next_cursor` is null when all were looked at."""

    dry_run: bool
    runs: int
    places: list[PlaceView]
    done: int
    refused: list[RefusedView]
    next_cursor: UUID | None


def run_view(run: StoredRun, *, sees: bool) -> RunView:
    """A run as it is shown."""
    return RunView(
        id=run.id,
        profile_id=run.profile_id,
        journey=run.journey,
        version=run.version,
        node=run.node,
        status=run.status,
        reason=run.reason,
        entered_at=run.entered_at,
        wakes_at=run.wakes_at,
        key=run.key if sees or not run.key else mask_text(run.key),
        occurrence=run.occurrence,
        since=run.since,
        ended_at=run.ended_at,
        paused=run.paused,
        stuck=run.stuck,
    )


def explained_view(shown: ShownRun, *, sees: bool) -> ExplainedRunView:
    """A run as it is shown alone."""
    return ExplainedRunView(
        **run_view(shown.run, sees=sees).model_dump(),
        sentence=shown.sentence,
        log=[_line(one) for one in shown.log],
        earlier=shown.earlier,
    )


def stats_view(key: str, stats: Stats) -> StatsView:
    """The figures as they are shown."""
    return StatsView(
        key=key,
        entered=stats.entered,
        under_way=stats.under_way,
        merged=stats.merged,
        ended=stats.ended,
        converted=stats.converted,
        nodes=[
            NodeStatsView(
                node=one.node,
                entered=one.entered,
                waiting=one.waiting,
                sent=one.sent,
                suppressed=one.suppressed,
                responded=one.responded,
                converted=one.converted,
                left=one.left,
            )
            for one in stats.nodes
        ],
    )


def bulk_view(carried: Carried, *, dry_run: bool) -> BulkView:
    """What came of an order about many as it is shown."""
    return BulkView(
        dry_run=dry_run,
        runs=sum(carried.meant.values()),
        places=_places(carried.meant),
        done=carried.done,
        refused=[RefusedView(id=one.run, reason=one.reason) for one in carried.refused],
        next_cursor=carried.last,
    )


def _places(meant: Mapping[Place, int]) -> list[PlaceView]:
    ordered = sorted(meant.items(), key=lambda one: (one[0][0], one[0][1] or ""))
    return [PlaceView(version=place[0], node=place[1], runs=runs) for place, runs in ordered]


def _line(line: Line) -> LineView:
    return LineView(
        at=line.at, kind=line.kind, node=line.node, occurrence=line.occurrence, word=line.word
    )
