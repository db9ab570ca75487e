"""Bodies and answers of journeys."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.domain.journeys.versions import Affected, totals
from services.orchestrator.use_cases.change_journey import Rate
from shared.conditions.duration import parse_duration
from shared.errors import Problem, Unprocessable

MAX_EVENT_FIELDS = 50
MAX_RATE = 1_000_000
MAX_PER = timedelta(days=7)


class JourneyPublishRequest(BaseModel):
    """`version`: an earlier version once more, instead of the draft. `version_policy`: what becomes
    of runs that are under way, instead of what the document says."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, le=2**31 - 1)
    version_policy: Literal["pin", "follow_live"] | None = None


class RateBody(BaseModel):
    """So many in each period."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ge=1, le=MAX_RATE)
    per: str = Field(description="ISO 8601 duration, at most P7D")


class ResumeRequest(BaseModel):
    """How fast the runs that were held go on; without a rate: all at once."""

    model_config = ConfigDict(extra="forbid")

    rate: RateBody | None = None


class ArchiveRequest(BaseModel):
    """What becomes of the runs: they go on to their end, or are stopped."""

    model_config = ConfigDict(extra="forbid")

    runs: Literal["finish", "stop"] = "finish"


class EnterRequest(BaseModel):
    """Who enters; `event` is what the journey sees as the properties of the event."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    event: dict[str, Any] = Field({}, max_length=MAX_EVENT_FIELDS)


class EnterAudienceRequest(BaseModel):
    """Who enter: everybody for whom a condition holds."""

    model_config = ConfigDict(extra="forbid")

    audience: dict[str, Any]
    event: dict[str, Any] = Field({}, max_length=MAX_EVENT_FIELDS)


class AffectedView(BaseModel):
    """The runs on one node of a version, what becomes of them, the nodes they may come to next, and
    ways on that end in nothing."""

    version: int
    node: str | None
    runs: int
    fate: Literal["stays", "goes_on", "finishes", "exits"]
    next: list[str]
    lost: list[str]


class PreviewView(BaseModel):
    """What a publication does to the runs that are under way: how many have which fate, and where
    they stand."""

    key: str
    version_policy: Literal["pin", "follow_live"]
    runs: int
    totals: dict[str, int]
    items: list[AffectedView]


class AudienceProgressView(BaseModel):
    """How far an audience event came, as the profile service says it."""

    status: str
    examined: int
    of: int | None
    matched: int
    left_out: int
    error: str | None


class LetInView(BaseModel):
    """An audience that was let in; `progress` is null while the profile service has not heard of
    it."""

    at: datetime
    touchpoint_id: UUID
    progress: AudienceProgressView | None


class AudiencesView(BaseModel):
    """When the schedule occurs next (null: it does not), and who was let in, newest first."""

    next_at: datetime | None
    items: list[LetInView]
    next_cursor: str | None = None


def affected_view(affected: Iterable[Affected]) -> list[AffectedView]:
    """What becomes of runs as it is shown."""
    return [
        AffectedView(
            version=one.version,
            node=one.node,
            runs=one.runs,
            fate=one.fate,
            next=list(one.next),
            lost=list(one.lost),
        )
        for one in affected
    ]


def preview_view(
    key: str, policy: Literal["pin", "follow_live"], affected: list[Affected]
) -> PreviewView:
    """A preview as it is shown."""
    sums = totals(affected)
    return PreviewView(
        key=key,
        version_policy=policy,
        runs=sum(sums.values()),
        totals={str(fate): count for fate, count in sums.items()},
        items=affected_view(affected),
    )


def rate_of(body: RateBody | None) -> Rate | None:
    """The rate. Raises Unprocessable for a period that is none."""
    if body is None:
        return None
    per = parse_duration(body.per)
    if per is None or not timedelta(0) < per <= MAX_PER:
        problem = Problem("rate.per", "duration", "is an ISO 8601 duration of at most P7D")
        raise Unprocessable("The rate is none.", [problem])
    return Rate(body.limit, per)
