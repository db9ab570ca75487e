"""`GET /v1/journeys/{key}/attribution`: which touches have the credit for a journey's goal."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field

from services.orchestrator.domain.journeys.attribution import Model
from services.orchestrator.use_cases.read_attribution import read_attribution
from shared.http.draft_routes import Key, Reader
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["journeys"])


class CreditView(BaseModel):
    """What has the credit for so many conversions: a rule, or a node of a journey, on a channel;
    `kind` is that of its actions."""

    rule: str | None
    journey: str | None
    node: str | None
    channel: str
    kind: str
    conversions: int


class AttributionView(BaseModel):
    """The conversions of a journey's goal that were counted in a period. Those of the `items`, most
    first, and the `untouched`, which no touch came before, are all `conversions`."""

    key: str
    model: Model
    from_: datetime = Field(serialization_alias="from")
    to: datetime
    conversions: int
    untouched: int
    items: list[CreditView]


@router.get("/v1/journeys/{key}/attribution")
async def get_attribution(
    key: Key,
    engine: Engine,
    _: Reader,
    model: Annotated[Model, Query()] = "last",
    starts: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    ends: Annotated[AwareDatetime | None, Query(alias="to")] = None,
) -> AttributionView:
    """Which touches have the credit for the conversions that were counted `from` an instant until
    before `to` (the last 30 days; at most 92 days and 10,000 conversions): the last, or the first,
    that reached the person within the goal's window before it, of any rule or journey. Credit is
    not cause."""
    async with transaction(engine) as tx:
        read = await read_attribution(tx, key, model, starts=starts, ends=ends)
    found = read.attribution
    return AttributionView(
        key=key,
        model=model,
        from_=read.starts,
        to=read.ends,
        conversions=found.conversions,
        untouched=found.untouched,
        items=[
            CreditView(
                rule=one.touch.rule,
                journey=one.touch.journey,
                node=one.touch.node,
                channel=one.touch.channel,
                kind=one.touch.kind,
                conversions=one.conversions,
            )
            for one in found.credits
        ],
    )
