"""Makes the API of a service: its routers between the edge, the error answers and the probes.

It refuses to start with a route that demands no permission, unless that route is named as open.
`/metrics` is never served here; it is on the metrics port.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Permission
from shared.http import audit, tokens
from shared.http.auth import Access, Requires
from shared.http.edge import Edge
from shared.http.problem import DOCUMENTED, answer_errors
from shared.http.quick import Quick
from shared.http.strict_json import StrictRoute
from shared.observability import metrics
from shared.observability.health import Health

MAX_BODY_BYTES = 1024 * 1024
PROBES = ("/livez", "/readyz")


def create_app(
    *,
    title: str,
    version: str,
    health: Health,
    engine: AsyncEngine,
    routers: Sequence[APIRouter],
    open_paths: frozenset[str] = frozenset(),
    max_body_bytes: int = MAX_BODY_BYTES,
    accepts_gzip: bool = False,
    quick: Sequence[Quick[Any]] = (),
) -> FastAPI:
    """The ASGI application of an API.

    `routers` are made by `api_router`; `/v1/tokens` and `/v1/audit` are added. Routes in
    `open_paths` check their callers themselves (the collector's source keys). A handler finds the
    engine in `app.state.engine`. `max_body_bytes` is of the body as sent; who accepts gzip unpacks
    it with `inflate`. `quick` are the quick ways of some routes. Raises ValueError for a route
    without a permission.
    """
    app = FastAPI(
        title=title,
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=DOCUMENTED,
    )
    app.state.engine = engine
    app.state.access = Access(engine)
    app.add_middleware(Edge, max_body_bytes=max_body_bytes, accepts_gzip=accepts_gzip)
    answer_errors(app)
    served = [*routers, tokens.router, audit.router]
    for route in api_routes(served):
        if permission_of(route) is None and route.path not in open_paths:
            raise ValueError(f"{sorted(route.methods or ())} {route.path} demands no permission")
    app.router.routes.extend(quick)
    for router in (_probes(health), *served):
        app.include_router(router)
    metrics.start_routes(
        [
            *(("GET", probe) for probe in PROBES),
            *(
                (method, route.path)
                for route in api_routes(served)
                for method in sorted(route.methods or ())
            ),
        ]
    )
    return app


def api_routes(routers: Sequence[APIRouter]) -> list[APIRoute]:
    """The routes of routers made by `api_router`. Raises ValueError for any other kind."""
    routes: list[APIRoute] = []
    for router in routers:
        for route in router.routes:
            if not isinstance(route, StrictRoute):
                raise ValueError(f"{route!r} was not made by a router of `api_router`")
            routes.append(route)
    return routes


def permission_of(route: APIRoute) -> Permission | None:
    """The permission that a route demands; None when it demands none."""
    return _permission(route.dependant)


def _permission(dependant: Dependant) -> Permission | None:
    if isinstance(dependant.call, Requires):
        return dependant.call.permission
    for each in dependant.dependencies:
        found = _permission(each)
        if found is not None:
            return found
    return None


def _probes(health: Health) -> APIRouter:
    """`/livez` and `/readyz`, which need no token."""
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive", "role": health.role}

    @router.get("/readyz")
    async def readyz() -> Response:
        state = await health.readiness()
        body = orjson.dumps(state.body(health.role))
        status = 200 if state.ready else 503
        return Response(body, status, media_type="application/json")

    return router
