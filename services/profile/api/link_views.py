"""The shapes of what is said about links: batches, suggestions, how often they were right."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.profile.domain.linking import BANDS, Judged, in_all
from services.profile.storage.link_runs import LinkRun
from services.profile.storage.link_suggestions import Suggestion

Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class RunBody(BaseModel):
    """What to look for: pairs that are one person with at least this probability."""

    model_config = ConfigDict(extra="forbid")

    threshold: float = Field(0.9, ge=0.5, lt=1, allow_inf_nan=False)


class RunView(BaseModel):
    """A batch and how far it is: `profiles` read, `pairs` in its blocks, `suggestions` found."""

    id: int
    status: Literal["queued", "running", "completed", "failed"]
    phase: Literal["reading", "training", "scoring", "writing"] | None
    threshold: float
    profiles: int
    pairs: int
    suggestions: int
    problem: str | None
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FeatureView(BaseModel):
    """What one trait says of the pair, in words. `weight` in bits: +1 doubles the odds."""

    trait: str
    words: str
    weight: float


class VerdictView(BaseModel):
    """Who decided, and when; `merge_id` of the merge that an acceptance made."""

    by: str
    by_id: str
    at: datetime
    merge_id: UUID | None


class SuggestionView(BaseModel):
    """Two profiles that may be one person, how likely, and why."""

    id: UUID
    profile_a: UUID
    profile_b: UUID
    score: float
    features: list[FeatureView]
    status: Literal["open", "accepted", "rejected"]
    found_at: datetime
    verdict: VerdictView | None


class BandView(BaseModel):
    """Decided suggestions with a score from `from` to under `to` (the last band holds 1 too).

    `precision` is (accepted - undone) / decided, null while nothing is decided; `undone` were
    accepted and taken back later.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: float = Field(serialization_alias="from")
    to: float
    decided: int
    accepted: int
    rejected: int
    undone: int
    precision: float | None


class PrecisionView(BaseModel):
    """How often suggestions were right, by what people decided: in all, and by band of scores."""

    decided: int
    accepted: int
    rejected: int
    undone: int
    precision: float | None
    bands: list[BandView]


def run_view(run: LinkRun) -> RunView:
    """A batch as it is shown."""
    fields = run._asdict() | {"requested_by": run.requested_by_name}
    return RunView.model_validate({name: fields[name] for name in RunView.model_fields})


def suggestion_view(one: Suggestion) -> SuggestionView:
    """A suggestion as it is shown; it holds no value of any trait."""
    verdict = None
    if one.who is not None and one.who_name is not None and one.at is not None:
        merge_id = None if one.merge_id is None else UUID(one.merge_id)
        verdict = VerdictView(by=one.who_name, by_id=one.who, at=one.at, merge_id=merge_id)
    return SuggestionView.model_validate(
        {name: getattr(one, name) for name in SuggestionView.model_fields if name != "verdict"}
        | {"verdict": verdict}
    )


def precision_view(judged: Sequence[Judged]) -> PrecisionView:
    """What was decided, as it is shown."""
    bands = [
        BandView(from_=one.least, to=to, **_figures(one))
        for one, to in zip(judged, (*BANDS[1:], 1.0), strict=True)
    ]
    return PrecisionView(bands=bands, **_figures(in_all(judged)))


def _figures(one: Judged) -> dict[str, int | float | None]:
    return {
        "decided": one.decided,
        "accepted": one.accepted,
        "rejected": one.rejected,
        "undone": one.undone,
        "precision": one.precision,
    }
