"""The shapes of consents in answers and bodies."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

StatusName = Literal["granted", "pending", "denied", "expired"]


class ProofView(BaseModel):
    """Who said it where. `ip` and `user_agent` are masked for who may not see personal data."""

    source: str | None
    touchpoint_id: str | None
    actor: str | None
    ip: str | None
    user_agent: str | None
    note: str | None


class ConsentLineView(BaseModel):
    """One line of the history: what happened (`what`), and the status since. `profile_id` is the
    profile that it was said about, which may have become another one."""

    id: str
    profile_id: str
    purpose: str
    channel: str
    what: Literal["granted", "denied", "confirmed", "expired"]
    status: StatusName
    at: datetime
    basis: str | None
    text_version: str | None
    expires_at: datetime | None
    proof: ProofView
    recorded_at: datetime


class ConsentView(BaseModel):
    """The last word on one purpose and channel. `pending` waits for a confirmation; `proof` names
    the line of the history that it stands on."""

    purpose: str
    channel: str
    status: StatusName
    basis: str | None
    at: datetime
    text_version: str | None
    expires_at: datetime | None
    confirmed_at: datetime | None
    proof: str | None
    evidence: list[ConsentLineView] | None = Field(
        None, description="What it stands on; only there with `?include=proof`."
    )


Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^\S+$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class ConsentBody(BaseModel):
    """What the customer said about one purpose on one channel (`*`: on every channel; as a purpose:
    every purpose, where only a denial counts). `at`: when, if not now."""

    model_config = ConfigDict(extra="forbid")

    purpose: Name
    channel: Name
    status: Literal["granted", "denied"]
    basis: Text | None = None
    text_version: Text | None = None
    expires_at: AwareDatetime | None = None
    at: AwareDatetime | None = None


class ProofBody(BaseModel):
    """Where the customer said it: the form, page or call, and from which address."""

    model_config = ConfigDict(extra="forbid")

    source: Text = "api"
    touchpoint_id: str | None = Field(None, max_length=100)
    ip: str | None = Field(None, max_length=45)
    user_agent: str | None = Field(None, max_length=500)
    note: str | None = Field(None, max_length=500)


class ConsentsBody(BaseModel):
    """Consents to record; those that are not named stay as they are."""

    model_config = ConfigDict(extra="forbid")

    consents: list[ConsentBody] = Field(min_length=1, max_length=100)
    proof: ProofBody = ProofBody()
