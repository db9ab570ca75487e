"""What people say about a source, and the rules for each field."""

from typing import Annotated, Any, Literal, Self

import phonenumbers
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.ingest.domain.identifiers import is_type
from services.ingest.domain.mapping import parse_mapping
from services.ingest.domain.source import DEFAULT_TRUST, Source, Tracking
from shared.conditions.duration import parse_duration
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.topics import DEFAULT_CHANNELS, OWN_SOURCE
from shared.contracts.zones import zone_names

SourceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
FieldPath = Annotated[
    str, Field(pattern=r"^(traits|properties|context)(\.[^.\x00]{1,100}){1,10}$", max_length=200)
]
PiiClass = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
MAX_PII = 100
MAX_RATE = 1_000_000


class SourceRequest(BaseModel):
    """A source. `offline` follows from a default channel when left out."""

    model_config = ConfigDict(extra="forbid")

    id: SourceId
    name: str = Field(min_length=1, max_length=200)
    channel: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    offline: bool | None = None
    dialect: Literal["segment", "cloudevents", "native", "webhook"] = "native"
    default_region: str | None = Field(
        None, description="ISO 3166, two letters: where phone numbers without country code belong."
    )
    subject_as: str | None = Field(
        None, description="Identifier type that the subject of a CloudEvent is."
    )
    trust: int = Field(DEFAULT_TRUST, ge=0, le=100)
    mapping: dict[str, Any] | None = Field(
        None, description="How a webhook's body becomes events; docs/webhooks.md has its words."
    )
    timezone: str | None = Field(
        None, description="IANA zone in which times without an offset are read; UTC without it."
    )
    device: bool = Field(
        False, description="Its clocks are customers' own: Segment's clock-skew rule applies."
    )
    max_age: str | None = Field(
        None, description="ISO 8601 duration such as P30D: an older event is refused as `too_old`."
    )
    tracking: Tracking = Field(
        "off", description="What the tracking plan does to an event that breaks it."
    )
    events_per_second: int | None = Field(
        None, ge=1, le=MAX_RATE, description="Most events that it may send over HTTP."
    )
    pii: dict[FieldPath, PiiClass] = Field(
        default_factory=dict,
        max_length=MAX_PII,
        description='Personal data by field path, with its class: `{"traits.email": "email"}`.',
    )

    @field_validator("id")
    @classmethod
    def _not_our_own(cls, value: str) -> str:
        if value == OWN_SOURCE:
            raise ValueError("is the source of Concert's own events")
        return value

    @field_validator("default_region")
    @classmethod
    def _a_region(cls, value: str | None) -> str | None:
        if value is not None and value not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("must be the two capital letters of a country, such as FR")
        return value

    @field_validator("subject_as")
    @classmethod
    def _an_identifier_type(cls, value: str | None) -> str | None:
        if value is not None and (value == RESERVED_TYPE or not is_type(value)):
            raise ValueError("must be an identifier type such as user_id")
        return value

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in zone_names():
            raise ValueError("must be an IANA time zone such as Europe/Paris")
        return value

    @field_validator("max_age")
    @classmethod
    def _a_duration(cls, value: str | None) -> str | None:
        if value is not None and parse_duration(value) is None:
            raise ValueError("must be an ISO 8601 duration of at most 100 years, such as P30D")
        return value

    @model_validator(mode="after")
    def _offline_is_known(self) -> Self:
        if self.offline is None and self.channel not in DEFAULT_CHANNELS:
            raise ValueError("offline is needed for a channel that is not a default one")
        return self

    @model_validator(mode="after")
    def _a_webhook_has_a_mapping(self) -> Self:
        if (self.dialect == "webhook") != (self.mapping is not None):
            raise ValueError("mapping is needed for the dialect webhook, and only for it")
        return self

    def source(self) -> Source:
        """As the domain knows it. Raises InvalidData with the place of a mapping's mistake."""
        if self.mapping is not None:
            parse_mapping(self.mapping)
        offline = self.offline
        if offline is None:
            offline = DEFAULT_CHANNELS[self.channel] == "offline"
        age = None if self.max_age is None else parse_duration(self.max_age)
        return Source(
            **{
                **self.model_dump(exclude={"max_age"}),
                "offline": offline,
                "max_age_seconds": None if age is None else int(age.total_seconds()),
            }
        )
