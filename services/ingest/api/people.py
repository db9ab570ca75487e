"""`/v1/people`: for the profile service: what could not be read and names a person.

Identifiers come in the body and never stand in a URL or a log.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.ingest.storage.people import Kept
from services.ingest.use_cases.forget_people import erase_failed, find_failed
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.contracts.times import rfc3339
from shared.http.auth import Principal, requires
from shared.http.reveals import is_noted, note_reveals
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import audit
from shared.postgres.transaction import transaction

router = api_router(tags=["people"])

Service = Annotated[Principal, requires(Permission.ERASE)]
MAX_IDENTIFIERS = 10_000


class NamedIdentifier(BaseModel):
    """An identifier of the person."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=MAX_TYPE)
    value: str = Field(min_length=1, max_length=MAX_VALUE)


class PersonBody(BaseModel):
    """Who is meant: by all identifiers that she has."""

    model_config = ConfigDict(extra="forbid")

    identifiers: list[NamedIdentifier] = Field(max_length=MAX_IDENTIFIERS)

    @property
    def values(self) -> list[str]:
        """What to look for."""
        return sorted({one.value for one in self.identifiers})


class FoundView(BaseModel):
    """Failed events that name the person, with what was received as text."""

    items: list[dict[str, Any]]
    next_cursor: None = None


class ErasedView(BaseModel):
    """How many rows of each store were erased."""

    erased: dict[str, int]


@router.post("/v1/people:find")
async def find_person(body: PersonBody, engine: Engine, principal: Service) -> FoundView:
    """The failed events that name the person, at most 1000. They are shown as they were received:
    to anyone but a service of Concert's own that is an entry of the audit log."""
    found = await find_failed(engine, body.values)
    if found and is_noted(principal):
        shown = {str(one.id): {"fields": ["received"], "reason": None} for one in found}
        async with transaction(engine) as tx:
            await note_reveals(tx, principal, shown)
    return FoundView(items=[_view(one) for one in found])


@router.post("/v1/people:erase")
async def erase_person(body: PersonBody, engine: Engine, principal: Service) -> ErasedView:
    """Erase the failed events that name the person; the same records are not kept again."""
    count = await erase_failed(engine, body.values)
    async with transaction(engine) as tx:
        await audit.append(
            tx,
            who=principal.who,
            kind="failed_events",
            key="erasure",
            action="erase",
            after={"rows": count},
        )
    return ErasedView(erased={"failed_event": count})


def _view(one: Kept) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "channel": one.channel,
        "source": one.source,
        "event_id": one.event_id,
        "type": one.event_type,
        "received_at": rfc3339(one.received_at),
        "reason": one.reason,
        "message": one.message,
        "received": None if one.raw is None else one.raw.decode("utf-8", "replace"),
    }
