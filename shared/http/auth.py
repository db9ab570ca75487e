"""Bearer tokens at the API's door: who calls, and whether a role of theirs has the permission.

A route demands exactly one permission: `requires(Permission.EDIT)`. What was read of a token is
kept for at most five seconds, so a revoked one is dead everywhere within that time.
"""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared.access import Permission, is_allowed, is_same_secret, parse_token, roles_with
from shared.errors import Forbidden, Unauthenticated
from shared.observability.metrics import AUTH_FAILURES_TOTAL
from shared.postgres import tokens
from shared.postgres.audit import Who
from shared.postgres.tokens import Credential
from shared.postgres.transaction import transaction

CACHE_SECONDS = 5.0
CACHE_SIZE = 4096
BEARER = HTTPBearer(auto_error=False, description="cst_<id>_<secret>")


class Principal(NamedTuple):
    """Who calls."""

    token_id: str
    name: str
    roles: frozenset[str]

    @property
    def who(self) -> Who:
        """As the audit log names them."""
        return Who(self.token_id, self.name)


class Access:
    """Knows the tokens of one service. One for each process; in `app.state.access`."""

    def __init__(self, engine: AsyncEngine, cache_seconds: float = CACHE_SECONDS) -> None:
        self._engine = engine
        self._cache_seconds = cache_seconds
        self._cache: dict[str, tuple[Credential | None, float]] = {}

    async def principal(self, bearer: str | None) -> Principal:
        """The holder of a token. Raises Unauthenticated, or Infrastructure without a database."""
        if bearer is None:
            AUTH_FAILURES_TOTAL.labels(reason="missing").inc()
            raise Unauthenticated("A token is needed: `Authorization: Bearer cst_…`.")
        token = parse_token(bearer)
        known = await self._credential(token.id) if token is not None else None
        if token is not None and is_same_secret(token, known.secret_sha256 if known else None):
            assert known is not None  # noqa: S101 - the same secret as a stored one
            if known.expires_at is None or clock.now() < known.expires_at:
                return Principal(known.id, known.name, known.roles)
        AUTH_FAILURES_TOTAL.labels(reason="unknown").inc()
        raise Unauthenticated("This token is not known, has expired or was revoked.")

    def forget(self, token_id: str) -> None:
        """Make this process look the token up again at its next use."""
        self._cache.pop(token_id, None)

    async def _credential(self, token_id: str) -> Credential | None:
        now = clock.monotonic_seconds()
        kept = self._cache.get(token_id)
        if kept is not None and now < kept[1]:
            return kept[0]
        async with transaction(self._engine) as connection:
            found = await tokens.credential(connection, token_id)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[token_id] = (found, now + self._cache_seconds)
        return found


@dataclass(frozen=True, slots=True)
class Requires:
    """The dependency of a route that demands a permission; it gives the Principal. `basic`: the
    token may also come as the user name of Basic authentication."""

    permission: Permission
    basic: bool = False

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Principal:
        access: Access = request.app.state.access
        token = bearer.credentials if bearer else None
        if token is None and self.basic:
            token = _basic_user(request.headers.get("authorization", ""))
        principal = await access.principal(token)
        if is_allowed(principal.roles, self.permission):
            return principal
        AUTH_FAILURES_TOTAL.labels(reason="forbidden").inc()
        needed = " or ".join(roles_with(self.permission))
        have = ", ".join(sorted(principal.roles))
        raise Forbidden(
            f"To {self.permission} needs the role {needed}; token {principal.name!r} has {have}."
        )


def requires(permission: Permission, *, basic: bool = False) -> Any:
    """Put this on a route: `Annotated[Principal, requires(Permission.EDIT)]`."""
    return Depends(Requires(permission, basic))


def _basic_user(header: str) -> str | None:
    """The user name in an `Authorization: Basic` header, None without one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, _ = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return user or None
