"""`/v1/lists`: static lists, which are segments that people are put on and taken off."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.profile.api.answers import json_answer
from services.profile.api.profiles import Reader, members_json
from services.profile.api.schemas import ProfileView
from services.profile.api.sight import Sees
from services.profile.api.state import State
from services.profile.domain.list_rows import Action, Format, Meant, read_rows
from services.profile.storage import groups, list_uploads, population
from services.profile.storage.group_jobs import NIL
from services.profile.storage.list_uploads import Upload
from services.profile.use_cases.change_list import Asked, change_list, require_list
from services.profile.use_cases.fill_lists import take_upload
from services.profile.use_cases.put_list import put_list
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import Malformed, NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Key
from shared.http.drafts import DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.pagination import Page, Paged, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router, stated_type_of
from shared.postgres.transaction import transaction

MAX_MEMBERS = 1_000
"""In one call; a file takes more."""
FORMATS: dict[str, Format] = {
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}

Editor = Annotated[Principal, requires(Permission.EDIT)]
Publisher = Annotated[Principal, requires(Permission.PUBLISH)]

router = api_router(tags=["lists"])


class ListBody(BaseModel):
    """A static list."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None
    name: str = Field(min_length=1, max_length=200)
    description: str | None = Field(None, max_length=1000)


class ListView(BaseModel):
    """A static list that is in force, and how many are on it."""

    key: str
    members: int


class Person(BaseModel):
    """Somebody by an identifier, or by the id of a profile."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, min_length=1, max_length=MAX_TYPE)
    value: str | None = Field(None, min_length=1, max_length=MAX_VALUE)
    profile_id: UUID | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Person":
        by_identifier = self.type is not None and self.value is not None
        if by_identifier == (self.profile_id is not None) or (
            (self.type is None) != (self.value is None)
        ):
            raise ValueError("needs type and value, or profile_id")
        return self

    @property
    def meant(self) -> Meant:
        """Who it is."""
        if self.profile_id is not None:
            return Meant(None, str(self.profile_id))
        return Meant(self.type, self.value or "")


class MembersBody(BaseModel):
    """Whom to put on the list and whom to take off; who is in both is taken off."""

    model_config = ConfigDict(extra="forbid")

    add: list[Person] = Field(default_factory=list, max_length=MAX_MEMBERS)
    remove: list[Person] = Field(default_factory=list, max_length=MAX_MEMBERS)


class UnresolvedView(BaseModel):
    """What came to nothing: `path` is its place in the body."""

    path: str
    reason: Literal["unknown", "shared", "blocked", "links_people", "too_many_lists"]


class ChangedView(BaseModel):
    """How many came on the list and how many were taken off; no change counts as neither."""

    added: int
    removed: int
    unresolved: list[UnresolvedView]


class RowProblem(BaseModel):
    """A row, from 1, that came to nothing."""

    row: int
    reason: str


class UploadView(BaseModel):
    """A file and how far it has come: `changed` were put on or taken off, `unresolved` of the
    `examined` rows came to nothing; the first hundred of these are `problems`."""

    id: str
    key: str
    status: Literal["waiting", "running", "done", "failed"]
    of: int
    examined: int
    changed: int
    unresolved: int
    problems: list[RowProblem]
    created_at: datetime
    finished_at: datetime | None
    error: str | None


@router.put("/v1/lists/{key}")
async def save_list(
    key: Key,
    body: ListBody,
    engine: Engine,
    response: Response,
    principal: Publisher,
    if_match: IfMatch = None,
) -> DraftView:
    """Have this list, live at once: it is the segment of this key. Archive it as such."""
    if body.key not in (None, key):
        raise Unprocessable(
            "the list breaks rules", [Problem("key", "key", f"the path says {key}")]
        )
    draft = await put_list(
        engine,
        key,
        body.model_dump(exclude={"key"}, exclude_none=True),
        may_replace=partial(check_if_match, if_match),
        who=principal.who,
    )
    return draft_view(draft, response)


@router.get("/v1/lists/{key}")
async def get_list(key: Key, engine: Engine, state: State, _: Reader) -> ListView:
    """How many are on a list."""
    async with transaction(engine) as tx:
        require_list(await state.live.look(tx), key)
        return ListView(key=key, members=await population.members(tx, key))


@router.post("/v1/lists/{key}/members")
async def change_members(
    key: Key, body: MembersBody, engine: Engine, state: State, principal: Editor
) -> ChangedView:
    """Put people on the list and take them off; the same again changes nothing."""
    if len(body.add) + len(body.remove) > MAX_MEMBERS:
        rule = Problem("", "too_many", f"at most {MAX_MEMBERS} people in one call")
        raise Unprocessable("too many people", [rule])
    parts: list[tuple[Action, list[Person]]] = [("add", body.add), ("remove", body.remove)]
    paths = [f"{action}[{n}]" for action, people in parts for n in range(len(people))]
    asked = [Asked(action, person.meant) for action, people in parts for person in people]
    async with transaction(engine) as tx:
        changed = await change_list(
            tx,
            key,
            asked,
            who=principal.who,
            backfill=False,
            rules=state.rules,
            live=state.live,
            topics=state.topics,
            counts=state.counts,
        )
    unresolved = [
        UnresolvedView(path=paths[one.place], reason=one.reason) for one in changed.unresolved
    ]
    return ChangedView(added=changed.added, removed=changed.removed, unresolved=unresolved)


@router.get("/v1/lists/{key}/members", response_model=Page[ProfileView])
async def list_members(
    key: Key,
    engine: Engine,
    state: State,
    sees: Sees,
    paging: Paged,
) -> Response:
    """Who is on the list, by id."""
    after = paging.after(UUID)
    async with transaction(engine) as tx:
        require_list(await state.live.look(tx), key)
        ids = await groups.list_members(
            tx, key, after=NIL if after is None else str(after[0]), limit=paging.limit + 1
        )
        shown, cursor = split_page(ids, paging, lambda id_: (id_,))
        items = await members_json(tx, shown, state.rules, sees)
    return json_answer({"items": items, "next_cursor": cursor})


_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string"}} for name in ("application/x-ndjson",
                                                                       "text/csv")},
    }
}  # fmt: skip


@router.post("/v1/lists/{key}/uploads", status_code=202, openapi_extra=_FILE)
async def upload(
    key: Key, request: Request, engine: Engine, state: State, principal: Editor
) -> UploadView:
    """Take a file of members, NDJSON or CSV, to be worked through in the background. Rows have
    `type` and `value`, or `profile_id`, and may have `action`: `add` or `remove`. What a file
    changes is an import: it triggers only rules that want those."""
    stated = stated_type_of(request).partition(";")[0].strip().lower()
    if stated not in FORMATS:
        raise Malformed(f"The content type is none of {', '.join(FORMATS)}.")
    rows = read_rows(await request.body(), FORMATS[stated])
    async with transaction(engine) as tx:
        found = await take_upload(tx, key, rows, who=principal.who, live=state.live)
    return _view(found)


@router.get("/v1/lists/{key}/uploads/{upload_id}")
async def get_upload(key: Key, upload_id: UUID, engine: Engine, _: Reader) -> UploadView:
    """How far a file has come."""
    async with transaction(engine) as tx:
        found = await list_uploads.read(tx, key, str(upload_id))
    if found is None:
        raise NotFound(f"There is no upload {upload_id} of list {key}.")
    return _view(found)


def _view(found: Upload) -> UploadView:
    return UploadView.model_validate(found._asdict())
