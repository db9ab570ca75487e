"""The shapes of the profile API's answers and bodies. A test holds real answers against them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.profile.api.consent_schemas import ConsentLineView, ConsentView


class IdentifierView(BaseModel):
    """An identifier that points at the profile."""

    type: str
    value: str
    status: str
    first_seen: datetime
    last_seen: datetime


class ComputedView(BaseModel):
    """Computed traits: these are built in, `revenue` by currency in exact decimals; those defined
    at `/v1/traits` stand beside them. null: past what can be told."""

    model_config = ConfigDict(extra="allow")

    touchpoints: int
    orders: int
    revenue: dict[str, str]
    first_seen_at: datetime | None
    last_seen_at: datetime | None


class PersonaView(BaseModel):
    """The one buyer persona, and why it is this one."""

    key: str
    reason: str


class RunnerUpView(BaseModel):
    """A value that did not survive; null: the source had removed the trait. `refused` says why it
    cannot survive at all."""

    value: Any
    source: str
    observed_at: datetime
    refused: str | None = None


class ProvenanceView(BaseModel):
    """Where the value of a trait comes from, and the rule by which it won; without a source none
    survived, and the rule says why."""

    value: Any
    source: str | None
    observed_at: datetime | None
    rule: str
    runners_up: list[RunnerUpView]


class ProfileView(BaseModel):
    """One person. `version` is the number of the profile's last update, and its ETag."""

    id: str
    status: str
    identifiers: list[IdentifierView]
    traits: dict[str, Any]
    computed: ComputedView
    segments: list[str]
    persona: PersonaView | None
    consents: list[ConsentView]
    household: str | None
    accounts: list[str]
    timezone: str | None
    created_at: datetime
    last_seen_at: datetime
    version: int
    provenance: dict[str, ProvenanceView] | None = Field(
        None, description="By trait; only there with `?include=provenance`."
    )


class MembershipView(BaseModel):
    """A segment the person is in, and since when."""

    key: str
    entered_at: datetime


class TimelineItem(BaseModel):
    """Something that happened to the person; the field named by `kind` holds it."""

    kind: Literal["touchpoint", "merge", "consent"]
    at: datetime
    id: str
    touchpoint: dict[str, Any] | None = None
    merge: dict[str, Any] | None = None
    consent: ConsentLineView | None = None


class MergedIdentifier(BaseModel):
    """An identifier by type and value."""

    type: str
    value: str


class MergeView(BaseModel):
    """Two profiles that became one, why, and which identifiers went over to the winner."""

    id: str
    winner: str
    loser: str
    at: datetime
    cause: dict[str, Any]
    moved: list[MergedIdentifier]
    undone_at: datetime | None


AudienceStatus = Literal["waiting", "running", "done", "failed", "cancelled"]


class AudienceProgress(BaseModel):
    """How far an event has come on its way to its audience.

    `examined` of `of` profile ids (merged ones among them) were looked at; `of` is null until it
    starts. `matched` members have a copy, `left_out` ones have no identifier to send it to.
    """

    status: AudienceStatus
    examined: int
    of: int | None
    matched: int
    left_out: int


class AudienceEventView(AudienceProgress):
    """An event that names no person. `id` is that of its touchpoint, `event` the publisher's own.

    `audience` says in words who is meant; masked for who may not see personal data.
    """

    id: str
    event: str
    source: str
    type: str
    audience: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


class FateView(BaseModel):
    """What became of a touchpoint: the profile it belongs to now, or why it has none.

    `source` published the copy that was applied, `duplicates` is how many more it sent. `audience`
    is how far one with the reason `audience` has come.
    """

    id: str
    profile_id: str | None
    reason: str | None
    duplicates: int
    source: str
    audience: AudienceProgress | None = None


class CountersView(BaseModel):
    """Of one source: touchpoints that were applied, and further copies of them that it sent."""

    accepted: int
    duplicate: int
