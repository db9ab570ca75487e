"""`/v1/profiles:search` and `/v1/profiles:batch-get`: many people in one request."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.profile.api.answers import json_answer
from services.profile.api.fields import Fields, Wanted, check_fields
from services.profile.api.profiles import as_stored, picked_json
from services.profile.api.schemas import ProfileView
from services.profile.api.sight import Sees, Sight
from services.profile.api.state import State
from services.profile.api.views import Json
from services.profile.domain.absorb import Rules
from services.profile.domain.search import MAX_QUERY, How, Match, Place, query_of
from services.profile.storage import profiles
from services.profile.storage.identifiers import identifier_id
from services.profile.storage.search import Found
from services.profile.use_cases.read_profile import expire_consents
from services.profile.use_cases.search_profiles import Result, search_profiles
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import Problem, Unprocessable
from shared.http.masking import mask_text
from shared.http.pagination import Page, Paged, Paging, next_cursor, words
from shared.http.state import Engine
from shared.http.strict_json import api_router

MAX_ASKED = 100
SHOWN_MATCHES = 10

router = api_router(tags=["profiles"])


class MatchView(BaseModel):
    """Why somebody is a result. `type` is that of the identifier; `value` what matched, masked
    where identifiers and names are."""

    on: str
    how: str
    type: str | None
    value: str


class ResultView(BaseModel):
    """A person that was found."""

    profile: ProfileView
    matches: list[MatchView]


@router.get("/v1/profiles:search", response_model=Page[ResultView])
async def search(
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=MAX_QUERY,
            description="The beginning of an identifier or of a name, or a whole identifier.",
        ),
    ],
    engine: Engine,
    state: State,
    sees: Sees,
    fields: Wanted,
    paging: Paged,
) -> Response:
    """Active profiles: whole identifiers first, then those that begin so, then names that do.

    Case and accents of names do not matter, nor how an e-mail address or a telephone number is
    written. Who sees personal data masked finds whole identifiers only: beginnings would let them
    guess what is hidden.
    """
    rules = state.rules
    query = query_of(q, _forms(q, rules), prefixes=sees.clear)
    if not any(query.exact):
        raise Unprocessable("q is blank", [Problem("q", "blank", "say what to look for")])
    after = _after(paging)
    async with sees.reading(engine) as tx:
        found = await search_profiles(tx, query, rules, after=after, limit=paging.limit)
        items = [_result(one, rules, fields, sees) for one in found.items]
        await sees.note_profiles(tx, [one["profile"] for one in items])
    last = found.last
    place = None if last is None else (last.place.how + 1, last.place.text, last.profile_id)
    return json_answer({"items": items, "next_cursor": place and next_cursor(place)})


class PointerBody(BaseModel):
    """An identifier, written as freely as in an event."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=MAX_TYPE)
    value: str = Field(min_length=1, max_length=MAX_VALUE)


class BatchBody(BaseModel):
    """Who is wanted: at most a hundred, by id or by identifier."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(default=[], max_length=MAX_ASKED)
    identifiers: list[PointerBody] = Field(default=[], max_length=MAX_ASKED)
    fields: list[str] = Field(default=[], max_length=MAX_ASKED)


class AskedView(BaseModel):
    """What was asked for: an id, or an identifier."""

    id: UUID | None = None
    identifier: PointerBody | None = None


class AnsweredView(BaseModel):
    """A person, and what they were asked for by."""

    asked: AskedView
    profile: ProfileView


class BatchView(BaseModel):
    """Those that are there, in the order asked, ids before identifiers; and those that are not."""

    items: list[AnsweredView]
    missing: list[AskedView]


@router.post("/v1/profiles:batch-get", response_model=BatchView)
async def batch_get(body: BatchBody, engine: Engine, state: State, sees: Sees) -> Response:
    """Up to a hundred people at once; an old id gives the profile it belongs to now."""
    if not 0 < len(body.ids) + len(body.identifiers) <= MAX_ASKED:
        problem = Problem("ids", "count", f"name 1 to {MAX_ASKED} ids and identifiers together")
        raise Unprocessable("too few or too many are asked for", [problem])
    fields, rules = check_fields(body.fields), state.rules
    asked: list[Json] = [{"id": str(one)} for one in body.ids]
    asked += [{"identifier": one.model_dump()} for one in body.identifiers]
    keys = [f"{one.type}\0{as_stored(one.type, one.value, rules)}" for one in body.identifiers]
    async with sees.reading(engine) as tx:
        found = await profiles.read_many(
            tx, ids=[str(one) for one in body.ids], identifiers=[identifier_id(key) for key in keys]
        )
        await expire_consents(tx, [one for one in found if one is not None])
        items = [
            {"asked": what, "profile": picked_json(one, rules, fields, masked=sees.masked)}
            for what, one in zip(asked, found, strict=True)
            if one is not None
        ]
        await sees.note_profiles(tx, [one["profile"] for one in items])
    missing = [what for what, one in zip(asked, found, strict=True) if one is None]
    return json_answer({"items": items, "missing": missing})


def _forms(text: str, rules: Rules) -> set[str]:
    """The text as an identifier of each type that has a form of its own."""
    return {as_stored(type_, text, rules) for type_ in ("email", "phone", *rules.identity.types)}


def _after(paging: Paging) -> Found | None:
    cursor = paging.after(_how, words, UUID)
    return None if cursor is None else Found(Place(cursor[0], cursor[1]), str(cursor[2]))


def _how(value: object) -> How:
    if type(value) is not int:
        raise ValueError("no number")
    return How(value - 1)


def _result(one: Result, rules: Rules, fields: Fields, sees: Sight) -> Json:
    return {
        "profile": picked_json(one.profile, rules, fields, masked=sees.masked),
        "matches": [_match(match, sees) for match in one.matches[:SHOWN_MATCHES]],
    }


def _match(match: Match, sees: Sight) -> Json:
    return {
        "on": "identifier" if match.place.how <= How.IDENTIFIER else "name",
        "how": "exact" if match.place.how is How.EXACT else "prefix",
        "type": match.type,
        "value": mask_text(match.value) if sees.masked else match.value,
    }
