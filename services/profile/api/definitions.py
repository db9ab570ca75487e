"""`/v1/segments`, `/v1/personas` and `/v1/traits`: edited as a draft, published as a version.

All have the same routes, so they are declared once. A route only translates between HTTP and a
use case.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from services.profile.api.answers import json_answer
from services.profile.api.definition_schemas import (
    DistributionView,
    PersonaShare,
    PreviewBody,
    PreviewView,
    ProgressView,
)
from services.profile.api.sight import Sees
from services.profile.api.state import State
from services.profile.api.views import profile_json
from services.profile.domain.segment import read_profile_condition
from services.profile.storage import definition_jobs, definitions, population
from services.profile.storage.definition_kind import Kind
from services.profile.use_cases import define
from services.profile.use_cases.preview import preview
from shared.conditions.sentence import sentence
from shared.errors import NotFound, Problem, Unprocessable
from shared.http.draft_routes import Key, Publisher, Reader, add_drafting, add_reading
from shared.http.drafts import DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.observability.hidden import refuse_personal
from shared.postgres import drafts
from shared.postgres.transaction import transaction


class PublishRequest(BaseModel):
    """Segments and personas have nothing running that could keep an old version."""

    model_config = ConfigDict(extra="forbid")


def definition_router(kind: Kind, path: str) -> APIRouter:
    """The routes of a kind under `path`, such as `/v1/segments`."""
    router = api_router(tags=[f"{kind}s"])
    add_reading(router, kind, path, named=kind)
    _add_writing(router, kind, path)
    _add_archiving(router, kind, path)
    _add_progress(router, kind, path)
    return router


def _add_writing(router: APIRouter, kind: Kind, path: str) -> None:
    add_drafting(router, kind, path, save=define.save, validate=define.validate)

    @router.post(path + "/{key}:publish", name=f"publish_{kind}")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: PublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version. Every later touchpoint is decided by it; who is there
        already follows in the background."""
        draft = await define.publish(
            engine,
            kind,
            key,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)


def _add_archiving(router: APIRouter, kind: Kind, path: str) -> None:
    @router.post(path + "/{key}:archive", name=f"archive_{kind}")
    async def archive(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Take it out of force for good; its members leave in the background. 409 while something
        in force refers to it."""
        draft = await define.archive(
            engine,
            kind,
            key,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)


def _add_progress(router: APIRouter, kind: Kind, path: str) -> None:
    @router.get(path + "/{key}/backfill", name=f"get_{kind}_backfill")
    async def get_backfill(key: Key, engine: Engine, _: Reader) -> ProgressView:
        """How far its last change came on its way to everybody; 404 before it was published."""
        async with transaction(engine) as tx:
            drafts.there(await drafts.find(tx, kind, key), kind, key)
            job = await definition_jobs.latest(tx, kind, key)
        if job is None:
            raise NotFound(f"{kind} {key} was never published.")
        return ProgressView.model_validate(job._asdict())


segments = definition_router(Kind.SEGMENT, "/v1/segments")
personas = definition_router(Kind.PERSONA, "/v1/personas")
traits = definition_router(Kind.TRAIT, "/v1/traits")


@segments.post("/v1/segments:preview", response_model=PreviewView)
async def preview_segment(body: PreviewBody, engine: Engine, state: State, sees: Sees) -> Response:
    """How many the condition holds for now, and the first few of them; nothing is stored.

    Who sees personal data masked cannot count by it: 422.
    """
    problems: list[Problem] = []
    condition = read_profile_condition(body.condition, problems)
    if condition is None:
        raise Unprocessable("the condition breaks rules", problems)
    if sees.masked:
        refuse_personal([("condition", condition)], state.rules.registry.class_of_attribute)
    async with transaction(engine) as tx:
        found = await preview(tx, condition, rules=state.rules, live=state.live)
        sample: list[dict[str, Any]] = [
            profile_json(one, state.rules, provenance=False, masked=sees.masked)
            for one in found.sample
        ]
        await sees.note_profiles(tx, sample)
    return json_answer(
        {
            "count": found.count,
            "exact": found.exact,
            "sample": sample,
            "sentence": sentence(condition),
        }
    )


@segments.get("/v1/segments/{key}/members")
async def count_members(key: Key, engine: Engine, _: Reader) -> dict[str, int]:
    """How many are in the segment."""
    async with transaction(engine) as tx:
        drafts.there(await drafts.find(tx, Kind.SEGMENT, key), Kind.SEGMENT, key)
        return {"count": await population.members(tx, key)}


@personas.get("/v1/personas:distribution")
async def get_distribution(engine: Engine, _: Reader) -> DistributionView:
    """How many have each persona. Personas in force that nobody has are listed with 0; `null` are
    those for whom none fits."""
    async with transaction(engine) as tx:
        counts = await population.personas(tx)
        stored = await definitions.load(tx)
    names: list[str | None] = [row.key for row in stored.rows if row.kind == Kind.PERSONA]
    listed = {name: counts.get(name, 0) for name in [*names, None]} | counts
    shares = [PersonaShare(persona=name, count=count) for name, count in listed.items()]
    shares.sort(key=lambda share: (-share.count, share.persona or ""))
    return DistributionView(items=shares, total=sum(counts.values()))
