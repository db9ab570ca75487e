"""`/v1/tokens`: an administrator makes and revokes tokens. The secret is shown once."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared import clock
from shared.access import Permission, new_token
from shared.errors import Conflict, NotFound, Problem, Unprocessable
from shared.http.auth import Access, Principal, requires
from shared.http.pagination import Page, Paged, instant, split_page, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import audit, tokens
from shared.postgres.tokens import StoredToken
from shared.postgres.transaction import transaction

KIND = "token"
GrantableRole = Literal["viewer", "editor", "publisher", "ops", "privacy", "channel", "admin"]

router = api_router(tags=["access"])


class TokenRequest(BaseModel):
    """A token to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="Who or what will hold it.")
    roles: list[GrantableRole] = Field(min_length=1, max_length=7)
    expires_at: AwareDatetime | None = None


class TokenView(BaseModel):
    """A token as people may see it: without its secret."""

    id: str
    name: str
    roles: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class NewToken(TokenView):
    """A token at its creation; `token` is not shown again."""

    token: str


@router.post("/v1/tokens", status_code=201)
async def create_token(
    body: TokenRequest,
    engine: Engine,
    principal: Annotated[Principal, requires(Permission.ADMINISTER)],
) -> NewToken:
    """Make a token. Keep the answer: its secret is stored nowhere."""
    if body.expires_at is not None and body.expires_at <= clock.now():
        problem = Problem("expires_at", "in_the_future", "this instant has passed")
        raise Unprocessable("expires_at has passed.", [problem])
    token = new_token()
    async with transaction(engine) as connection:
        stored = await tokens.insert(
            connection,
            token,
            name=body.name,
            roles=sorted(set(body.roles)),
            created_by=principal.name,
            expires_at=body.expires_at,
        )
        if stored is None:
            raise Conflict("The new token's id was taken; try again.")
        view = _view(stored)
        await audit.append(
            connection,
            who=principal.who,
            kind=KIND,
            key=token.id,
            action="create",
            after=view.model_dump(mode="json"),
        )
    return NewToken(**view.model_dump(), token=token.text)


@router.get("/v1/tokens")
async def list_tokens(
    engine: Engine,
    paging: Paged,
    principal: Annotated[Principal, requires(Permission.READ_TOKENS)],
) -> Page[TokenView]:
    """All tokens in the order of their creation, revoked ones too."""
    after = paging.after(instant, words)
    async with transaction(engine) as connection:
        rows = await tokens.page(
            connection,
            after=None if after is None else (after[0], after[1]),
            limit=paging.limit + 1,
        )
    shown, cursor = split_page(rows, paging, lambda row: (row.created_at, row.id))
    return Page(items=[_view(row) for row in shown], next_cursor=cursor)


@router.delete("/v1/tokens/{token_id}", status_code=204)
async def revoke_token(
    token_id: str,
    request: Request,
    engine: Engine,
    principal: Annotated[Principal, requires(Permission.ADMINISTER)],
) -> Response:
    """Revoke a token; it is refused everywhere within five seconds.

    A token cannot revoke itself: so there is always an administrator left.
    """
    if token_id == principal.token_id:
        raise Conflict("A token cannot revoke itself; use another administrator's.")
    async with transaction(engine) as connection:
        stored = await tokens.revoke(connection, token_id)
        if stored is None:
            raise NotFound("There is no such token, or it was revoked before.")
        after = _view(stored).model_dump(mode="json")
        await audit.append(
            connection,
            who=principal.who,
            kind=KIND,
            key=token_id,
            action="revoke",
            before={**after, "revoked_at": None},
            after=after,
        )
    access: Access = request.app.state.access
    access.forget(token_id)
    return Response(status_code=204)


def _view(stored: StoredToken) -> TokenView:
    return TokenView(**stored._asdict())
