"""`/v1/households` and `/v1/accounts`: people who belong together without being the same person.

Both have the same routes, so they are declared once.
"""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.api.answers import json_answer
from services.profile.api.profiles import members_json, written_answer
from services.profile.api.schemas import ProfileView
from services.profile.api.sight import Sees, Sight, plain_sight
from services.profile.api.state import State
from services.profile.api.views import Json
from services.profile.domain.absorb import Rules
from services.profile.domain.groups import Group, GroupKind, group_id, shown_group_traits
from services.profile.domain.identity import is_blocked
from services.profile.storage import groups
from services.profile.storage.group_jobs import NIL
from services.profile.storage.groups import StoredGroup
from services.profile.use_cases.link_by_hand import link_by_hand, read_group, say_of_group
from services.profile.use_cases.read_profile import read_profile
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.contracts.times import rfc3339
from shared.errors import NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.etag import IfMatch, check_if_match, etag
from shared.http.masking import mask_text, mask_trait
from shared.http.pagination import Page, Paged, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

Corrector = Annotated[Principal, requires(Permission.PRIVACY)]
Type = Annotated[str, Path(max_length=MAX_TYPE)]
Value = Annotated[str, Path(max_length=MAX_VALUE)]


class GroupView(BaseModel):
    """A household or an account: the identifier that names it, what is known of it, how many
    belong to it. `version` is its ETag, and counts changes of the traits."""

    id: str
    kind: Literal["household", "account"]
    type: str
    value: str
    traits: dict[str, Any]
    size: int
    created_at: datetime
    version: int


class GroupBody(BaseModel):
    """A group by the identifier that names it, of a type that links people; `null` takes a trait
    away, those that are not named stay."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=MAX_TYPE)
    value: str = Field(min_length=1, max_length=MAX_VALUE)
    traits: dict[str, Any] = Field(default_factory=dict, max_length=50)


def group_json(group: StoredGroup, *, masked: bool) -> Json:
    """A group as it is shown; masked like a profile."""
    traits = shown_group_traits(group.traits)
    if masked:
        traits = {name: mask_trait(name, value) for name, value in traits.items()}
    return {
        "id": group.id,
        "kind": group.kind,
        "type": group.type,
        "value": mask_text(group.value) if masked else group.value,
        "traits": traits,
        "size": group.size,
        "created_at": rfc3339(group.created_at),
        "version": group.version,
    }


def _personal(group: StoredGroup) -> list[str]:
    """What of a group masking hides, as `identifiers.household_id` and `traits.owner`."""
    shown = shown_group_traits(group.traits)
    hidden = [name for name, value in shown.items() if mask_trait(name, value) != value]
    return [f"identifiers.{group.type}", *(f"traits.{name}" for name in sorted(hidden))]


async def _answer(tx: AsyncConnection, group: StoredGroup, sees: Sight) -> Response:
    """The answer with one group; what is shown in clear is on record under the group's id."""
    await sees.note(tx, {group.id: _personal(group)})
    answer = json_answer(group_json(group, masked=sees.masked))
    answer.headers["ETag"] = etag(group.version)
    return answer


def _named(kind: GroupKind, type_: str, value: str, rules: Rules) -> Group:
    """The group that an identifier names. Raises Unprocessable when its type does not."""
    identity = rules.identity
    if identity.of(type_).role != kind:
        says = f"{type_} has the role {identity.of(type_).role} in the identity rules"
        raise Unprocessable(f"this names no {kind}", [Problem("type", "role", says)])
    form = None if is_blocked(value) else identity.form(type_, value)
    if form is None:
        problem = Problem("value", "blocked", "the value names nobody, or is blocked")
        raise Unprocessable(f"this names no {kind}", [problem])
    return Group(kind, f"{type_}\0{form}")


def group_router(kind: GroupKind, path: str) -> APIRouter:
    """The routes of a kind under `path`."""
    router = api_router(tags=["groups"])
    _add_reading(router, kind, path)
    _add_writing(router, kind, path)
    _add_linking(router, kind, path)
    return router


def _add_reading(router: APIRouter, kind: GroupKind, path: str) -> None:
    @router.get(
        path + "/by/{type}/{value:path}", response_model=GroupView, name=f"get_{kind}_by_identifier"
    )
    async def get_by_identifier(
        type: Type,  # noqa: A002 - the name in the URL
        value: Value,
        engine: Engine,
        state: State,
        sees: Sees,
    ) -> Response:
        """The group that an identifier names."""
        found = _named(kind, type, value, state.rules)
        async with sees.reading(engine) as tx:
            group = await groups.read(tx, group_id(kind, found.key))
            if group is None:
                raise NotFound(f"no {kind} has this {type}")
            return await _answer(tx, group, sees)

    @router.get(path + "/{group_id}", response_model=GroupView, name=f"get_{kind}")
    async def get_group(group_id: UUID, engine: Engine, sees: Sees) -> Response:
        """One group."""
        async with sees.reading(engine) as tx:
            return await _answer(tx, await read_group(tx, kind, str(group_id)), sees)

    @router.get(
        path + "/{group_id}/members", response_model=Page[ProfileView], name=f"list_{kind}_members"
    )
    async def list_members(
        group_id: UUID,
        engine: Engine,
        state: State,
        sees: Sees,
        paging: Paged,
    ) -> Response:
        """Who belongs to it, by id."""
        after = paging.after(UUID)
        async with sees.reading(engine) as tx:
            await read_group(tx, kind, str(group_id))
            ids = await groups.members(
                tx,
                str(group_id),
                after=NIL if after is None else str(after[0]),
                limit=paging.limit + 1,
            )
            shown, cursor = split_page(ids, paging, lambda id_: (id_,))
            items = await members_json(tx, shown, state.rules, sees)
        return json_answer({"items": items, "next_cursor": cursor})


def _add_writing(router: APIRouter, kind: GroupKind, path: str) -> None:
    @router.post(path, response_model=GroupView, name=f"put_{kind}")
    async def put_group(
        body: GroupBody,
        engine: Engine,
        state: State,
        principal: Corrector,
        if_match: IfMatch = None,
    ) -> Response:
        """Have a group of this identifier, with these traits; If-Match names its version."""
        group = _named(kind, body.type, body.value, state.rules)
        async with transaction(engine) as tx:
            stored = await say_of_group(
                tx,
                group,
                body.traits,
                who=principal.who,
                may_replace=partial(check_if_match, if_match),
            )
            return await _answer(tx, stored, plain_sight(principal, state.rules.registry))


def _add_linking(router: APIRouter, kind: GroupKind, path: str) -> None:
    @router.put(
        path + "/{group_id}/members/{profile_id}",
        response_model=ProfileView,
        name=f"link_to_{kind}",
    )
    async def put_member(
        group_id: UUID,
        profile_id: UUID,
        engine: Engine,
        state: State,
        principal: Corrector,
        if_match: IfMatch = None,
    ) -> Response:
        """Link a person to the group; If-Match names the version of the profile."""
        return await _link(
            kind, group_id, profile_id, engine, state, principal, if_match, linked=True
        )

    @router.delete(
        path + "/{group_id}/members/{profile_id}",
        response_model=ProfileView,
        name=f"unlink_from_{kind}",
    )
    async def delete_member(
        group_id: UUID,
        profile_id: UUID,
        engine: Engine,
        state: State,
        principal: Corrector,
        if_match: IfMatch = None,
    ) -> Response:
        """Take a person out of the group, until something later links them again."""
        return await _link(
            kind, group_id, profile_id, engine, state, principal, if_match, linked=False
        )


async def _link(
    kind: GroupKind,
    group_id: UUID,
    profile_id: UUID,
    engine: Engine,
    state: State,
    principal: Principal,
    if_match: str | None,
    *,
    linked: bool,
) -> Response:
    async with transaction(engine) as tx:
        stored = await link_by_hand(
            tx,
            kind,
            str(group_id),
            str(profile_id),
            linked=linked,
            who=principal.who,
            may_replace=partial(check_if_match, if_match),
            rules=state.rules,
            live=state.live,
            topics=state.topics,
            counts=state.counts,
        )
        return await written_answer(tx, stored, state, principal)


households = group_router("household", "/v1/households")
accounts = group_router("account", "/v1/accounts")
of_profile = api_router(tags=["groups"])


@of_profile.get("/v1/profiles/{profile_id}/groups", response_model=Page[GroupView])
async def list_groups(profile_id: UUID, engine: Engine, sees: Sees) -> Response:
    """The household and the accounts of a person; there are few, so they are on one page."""
    async with sees.reading(engine) as tx:
        stored = await read_profile(tx, str(profile_id))
        found = await groups.of_profile(tx, stored.id)
        shown = {f"groups.{field}" for one in found for field in _personal(one)}
        await sees.note(tx, {stored.id: sorted(shown)})
    items = [group_json(one, masked=sees.masked) for one in found]
    return json_answer({"items": items, "next_cursor": None})
