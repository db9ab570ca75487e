"""`GET /v1/events/{id}`: what became of an event, from all who know a part of it.

Nothing is looked up in another service's tables: the answer is composed over HTTP, and says which
part of it is missing when one of them is away.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import ORJSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.api.askers import EITHER, asker_of, owner_of
from services.ingest.api.peers import Peers
from services.ingest.api.viewers import viewer_of
from services.ingest.domain.fields import MAX_TEXT
from services.ingest.domain.receipt import Failed, Known, Status, receipt
from services.ingest.storage.failures_lookup import latest_failure
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.recently_taken import RecentlyTaken
from shared.errors import Infrastructure, Malformed, Problem, Unprocessable
from shared.http.problem import RETRY_AFTER, problem_response, trace_of
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.ids import touchpoint_id_text
from shared.postgres.transaction import transaction

logger = logging.getLogger(__name__)

PATH = "/v1/events/{event_id:path}"

T = TypeVar("T")
EventId = Annotated[
    str, Path(min_length=1, max_length=MAX_TEXT, description="The publisher's id of the event.")
]
SourceName = Annotated[
    str | None,
    Query(
        max_length=MAX_TEXT,
        description="The publisher; for a CloudEvent, its attribute `source`. A source key may "
        "leave it out.",
    ),
]


class DecisionName(BaseModel):
    """A decision; `GET /v1/decisions/{id}` of the orchestrator has all of it."""

    id: str
    at: str
    outcome: str
    action_ids: list[str]


class AudienceProgress(BaseModel):
    """How far an event has come on its way to its audience: profiles that were looked at, `of` how
    many (null until it starts), members that were sent a copy, members that cannot be."""

    status: str
    examined: int
    of: int | None
    matched: int
    left_out: int


class ReceiptView(BaseModel):
    """What became of an event. The status is that of its first copy that could be applied.

    `accepted`: taken, not applied yet. `failed`: it lies among the failed events, `reason` says
    why. `applied`: it is in the history of `profile_id`, or of nobody for the `reason`; with the
    reason `audience` it goes to all whom it is meant for, and `audience` says how far. Further
    copies of the publisher are no events of their own: they are `duplicates`, left out when none.
    `missing` says which part is not known now; `decisions` is left out when that is one.
    """

    id: str
    source: str
    status: Status
    reason: str | None = None
    message: str | None = None
    profile_id: str | None = None
    decisions: list[DecisionName] | None = None
    duplicates: int | None = None
    audience: AudienceProgress | None = None
    missing: list[str] | None = None


def receipts_router(*, registry: Registry, peers: Peers, taken: RecentlyTaken) -> APIRouter:
    """The route; it checks tokens and source keys itself."""
    router = api_router(tags=["receipts"])

    @router.get(PATH, response_model=ReceiptView, openapi_extra=EITHER)
    async def get_receipt(
        request: Request,
        event_id: EventId,
        engine: Engine,
        source: SourceName = None,
    ) -> Response:
        """What became of an event. 404 with `Retry-After` for one that nobody has seen (yet).

        Takes a source key with the scope `read` too; it sees its own source's events.
        """
        asker = await asker_of(request, registry)
        event_id, scope = _names(event_id, source, owner_of(asker))
        known = await _ask(engine, peers, taken, event_id, scope, owner_of(asker))
        found = receipt(event_id, scope, known, owner=owner_of(asker))
        if found is None and known.missing:
            return problem_response(
                503,
                " ".join((*known.missing, "So nothing can be said of this event.")),
                trace_of(request),
                headers=RETRY_AFTER,
            )
        if found is None:
            return problem_response(
                404,
                f"No event {event_id!r} of {scope!r} was seen. One that was just sent may still be "
                "on its way.",
                trace_of(request),
                headers=RETRY_AFTER,
            )
        if known.failed is not None and "message" in found:
            viewer = await viewer_of(asker, registry)
            found["message"] = viewer.sentence(known.failed.message, known.failed.source)
        return ORJSONResponse(found)

    return router


def _names(event_id: str, source: str | None, owner: str | None) -> tuple[str, str]:
    """The event's id, and the name within which it is unique. Raises Unprocessable, Malformed."""
    scope = source or owner
    if scope is None:
        problem = Problem("source", "missing", "say whose event it is")
        raise Unprocessable("A source is needed: the same id can be another's too.", [problem])
    if "\0" in event_id or "\0" in scope:
        raise Malformed("An id or a source holds no U+0000.")
    return event_id.strip(), scope.strip()


async def _ask(
    engine: AsyncEngine,
    peers: Peers,
    taken: RecentlyTaken,
    event_id: str,
    scope: str,
    owner: str | None,
) -> Known:
    """Ask everybody at once."""
    touchpoint_id = touchpoint_id_text(scope, event_id)
    (applied, no_profile), (decided, no_decisions), (failed, no_failures) = await asyncio.gather(
        _answer(peers.applied(touchpoint_id), "The profile service: whether it was applied."),
        _answer(peers.decided(touchpoint_id), "The orchestrator: which decisions it led to."),
        _answer(
            _failure(engine, [scope, owner or scope], event_id),
            "The database of ingest: whether it is among the failed events.",
        ),
    )
    unanswered = (no_profile, no_failures) if applied is None else (no_decisions,)
    missing = tuple(each for each in unanswered if each is not None)
    return Known(applied, failed, decided, taken.source_of(scope, event_id), missing)


async def _failure(engine: AsyncEngine, sources: list[str], event_id: str) -> Failed | None:
    async with transaction(engine) as tx:
        return await latest_failure(tx, sources, event_id)


async def _answer(question: Awaitable[T], what: str) -> tuple[T | None, str | None]:
    """The answer, or None and the sentence that says what is not known for want of it."""
    try:
        return await question, None
    except Infrastructure as error:
        logger.warning("a receipt is not complete: %s", error)
        return None, f"No answer from {what[0].lower()}{what[1:]}"
