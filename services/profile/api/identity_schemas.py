"""The shapes of what is said and asked about identity."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.profile.api.schemas import MergedIdentifier, ProfileView
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE

Reason = Annotated[str, Field(max_length=500, description="Why; kept in the audit log.")]


class IdentifierBody(BaseModel):
    """An identifier by type and value, written as freely as in an event."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=MAX_TYPE)
    value: str = Field(min_length=1, max_length=MAX_VALUE)


class MergeBody(BaseModel):
    """Two profiles, by any id they ever had."""

    model_config = ConfigDict(extra="forbid")

    profiles: list[UUID] = Field(min_length=2, max_length=2)
    reason: Reason = ""


class UndoBody(BaseModel):
    """Why a merge is undone."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


class SplitBody(BaseModel):
    """The identifiers that are somebody else's."""

    model_config = ConfigDict(extra="forbid")

    identifiers: list[IdentifierBody] = Field(min_length=1, max_length=1000)
    dry_run: bool = False
    reason: Reason = ""


class DividedView(BaseModel):
    """A profile and the one that was split off it, or that came back; what went over, and which
    pairs nothing may unite from now on."""

    profile: ProfileView
    split_off: ProfileView
    moved: list[MergedIdentifier]
    kept_apart: list[list[MergedIdentifier]]
    dry_run: bool


class CannotLinkView(BaseModel):
    """Two identifiers that nothing may unite, the profiles they belong to, and who said so."""

    id: str
    identifiers: list[MergedIdentifier]
    profiles: list[str]
    cause: Literal["undo", "split", "hand"]
    cause_id: str
    reason: str
    by: str
    at: datetime


class JudgedView(BaseModel):
    """What became of one identifier of a touchpoint, the rule that decided it, and why."""

    type: str
    value: str
    outcome: Literal[
        "matched", "added", "demoted", "unkept", "shared", "blocked", "link", "reserved", "beyond"
    ]
    rule: str | None
    because: str


class EventIdentityView(BaseModel):
    """How a touchpoint came to its profile: `plain` when all its identifiers were known, on one
    profile; `none` when nothing named a person; `unrecorded` when that was not kept yet."""

    id: str
    kind: Literal["create", "attach", "merge", "plain", "none", "unrecorded"]
    reason: str | None
    rules_version: int | None
    identifiers: list[JudgedView]
    profile_then: str | None
    profile_now: str | None
