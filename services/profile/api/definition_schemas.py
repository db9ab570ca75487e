"""The shapes of what the API says of segments, personas and event leaves."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.profile.api.schemas import ProfileView


class PreviewBody(BaseModel):
    """A condition to be asked about; nothing is stored."""

    model_config = ConfigDict(extra="forbid")

    condition: dict[str, Any]


class PreviewView(BaseModel):
    """`exact`: everybody was asked. Else a random sample was, and the count is scaled up."""

    count: int
    exact: bool
    sample: list[ProfileView]
    sentence: str


class ProgressView(BaseModel):
    """A change of what is in force on its way to everybody. `of` is None until it started;
    `changed` are those who entered or left by it."""

    status: Literal["waiting", "running", "done", "failed"]
    examined: int
    of: int | None
    changed: int
    created_at: datetime
    finished_at: datetime | None
    error: str | None


class PersonaShare(BaseModel):
    """How many have a persona; null: none fits."""

    persona: str | None
    count: int


class DistributionView(BaseModel):
    """How the personas are spread over `total` people."""

    items: list[PersonaShare]
    total: int


class LeavesBody(BaseModel):
    """Event leaves, as they stand in conditions."""

    model_config = ConfigDict(extra="forbid")

    leaves: list[dict[str, Any]] = Field(min_length=1, max_length=200)


class LeafView(BaseModel):
    """An event leaf: `warming` until the history of everybody is counted, then `ready`."""

    hash: str
    leaf: dict[str, Any]
    state: Literal["warming", "ready"]
