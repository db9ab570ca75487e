"""`/v1/sources`: who may publish, and the keys with which they do."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import phonenumbers
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.ingest.domain.identifiers import is_type
from services.ingest.domain.mapping import parse_mapping
from services.ingest.domain.source import DEFAULT_TRUST, Source, Tracking
from services.ingest.storage import sources
from services.ingest.storage.registry import Registry
from services.ingest.storage.sources import StoredKey
from services.ingest.use_cases.issue_source_key import issue_source_key
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.register_source import register_source
from services.ingest.use_cases.revoke_source_key import revoke_source_key
from shared.access import Permission
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.topics import DEFAULT_CHANNELS
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, split_page, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

Reader = Annotated[Principal, requires(Permission.READ)]
Operator = Annotated[Principal, requires(Permission.OPERATE)]
SourceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]


class SourceRequest(BaseModel):
    """A source to be registered. `offline` follows from a default channel when left out."""

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
        return Source(**{**self.model_dump(), "offline": offline})


class SourceView(BaseModel):
    """A source as people see it."""

    id: str
    name: str
    channel: str
    offline: bool
    dialect: str
    default_region: str | None
    subject_as: str | None
    trust: int
    timezone: str | None
    device: bool
    max_age_seconds: int | None
    mapping: dict[str, Any] | None
    tracking: Tracking
    events_per_second: int | None
    pii: dict[str, str]
    created_at: datetime
    created_by: str


class KeyView(BaseModel):
    """A key as people may see it: its beginning, never the whole."""

    id: str
    prefix: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class SourceDetail(SourceView):
    """A source with its keys, ended ones too."""

    keys: list[KeyView]


class NewKey(KeyView):
    """A key at its creation; `key` is not shown again."""

    key: str


def sources_router(*, registry: Registry, open_channel: OpenChannel) -> APIRouter:
    """The routes. What they change is known to this process at once, to others within seconds."""
    router = api_router(tags=["sources"])

    @router.post("/v1/sources", status_code=201)
    async def create_source(body: SourceRequest, engine: Engine, principal: Operator) -> SourceView:
        """Register a source; the topic of its channel is there when this answers."""
        stored = await register_source(engine, body.source(), principal.who)
        registry.forget()
        await open_channel(stored.channel)
        return SourceView(**stored._asdict())

    @router.get("/v1/sources")
    async def list_sources(engine: Engine, paging: Paged, _: Reader) -> Page[SourceView]:
        """All sources in the order of their ids."""
        after = paging.after(words)
        async with transaction(engine) as tx:
            rows = await sources.page(
                tx, after="" if after is None else after[0], limit=paging.limit + 1
            )
        shown, cursor = split_page(rows, paging, lambda row: (row.id,))
        return Page(items=[SourceView(**row._asdict()) for row in shown], next_cursor=cursor)

    @router.get("/v1/sources/{source_id}")
    async def get_source(source_id: str, engine: Engine, _: Reader) -> SourceDetail:
        """One source and its keys."""
        async with transaction(engine) as tx:
            stored = await sources.find(tx, source_id)
            if stored is None:
                raise NotFound(f"There is no source {source_id!r}.")
            keys = await sources.keys(tx, source_id)
        return SourceDetail(**stored._asdict(), keys=[_key_view(key) for key in keys])

    @router.post("/v1/sources/{source_id}/keys", status_code=201)
    async def create_key(source_id: str, engine: Engine, principal: Operator) -> NewKey:
        """Make a key. Keep the answer: the key is stored nowhere."""
        stored, key = await issue_source_key(engine, source_id, principal.who)
        registry.forget()
        return NewKey(**_key_view(stored).model_dump(), key=key)

    @router.delete("/v1/sources/{source_id}/keys/{key_id}", status_code=204)
    async def revoke_key(
        source_id: str, key_id: str, engine: Engine, principal: Operator
    ) -> Response:
        """End a key; every collector refuses it within two seconds."""
        await revoke_source_key(engine, source_id, key_id, principal.who)
        registry.forget()
        return Response(status_code=204)

    return router


def _key_view(stored: StoredKey) -> KeyView:
    return KeyView(
        id=stored.id,
        prefix=stored.prefix,
        created_at=stored.created_at,
        created_by=stored.created_by,
        revoked_at=stored.revoked_at,
    )
