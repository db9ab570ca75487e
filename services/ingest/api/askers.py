"""Who asks after events: a person with a token who may read, or a source with a key that may."""

from typing import Any

from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials

from services.ingest.api.callers import key_of, source_of
from services.ingest.domain.source import Source
from services.ingest.domain.source_key import READ
from services.ingest.storage.registry import Registry
from shared.access import Permission
from shared.errors import Forbidden, Unauthenticated
from shared.http.auth import Principal, Requires
from shared.http.masking import may_see
from shared.observability.metrics import AUTH_FAILURES_TOTAL

Asker = Principal | Source
EITHER: dict[str, Any] = {"security": [{"HTTPBearer": []}, {"SourceKey": []}]}
"""For the OpenAPI document: a route that takes both, of keys those with the scope `read`."""

_may_read = Requires(Permission.READ)


async def asker_of(request: Request, registry: Registry) -> Asker:
    """The holder of the token or key in the headers.

    Raises Unauthenticated, Forbidden without a role or a scope that may read, or Infrastructure
    when what was shown cannot be looked up.
    """
    shown = key_of(request)
    if shown is None:
        AUTH_FAILURES_TOTAL.labels(reason="missing").inc()
        raise Unauthenticated("A token (Bearer) or a source key (Basic user name) is needed.")
    if shown.startswith("cst_"):
        return await _may_read(
            request, HTTPAuthorizationCredentials(scheme="Bearer", credentials=shown)
        )
    return await source_of(registry, shown, READ)


def subject_of(asker: Asker) -> str:
    """Who it is, for what each may have so many of: all keys of a source are one."""
    return f"source {asker.id}" if isinstance(asker, Source) else f"token {asker.token_id}"


def owner_of(asker: Asker) -> str | None:
    """The source whose events alone the asker may see; None for one who may see all."""
    return asker.id if isinstance(asker, Source) else None


def sees_personal_data(asker: Asker) -> bool:
    """Whether personal data is shown. Never to a key: nobody knows which person holds it."""
    return isinstance(asker, Principal) and may_see(asker)


def own_source(asker: Asker, source: str | None) -> str | None:
    """The source to look at: the one that is asked for, a key's own without that.

    Raises Forbidden when a key asks for another's.
    """
    owner = owner_of(asker)
    if owner is None or source in (None, owner):
        return owner or source
    raise Forbidden(f"This key is of the source {owner!r}, and sees nothing of others.")
