"""Lets pages of other origins publish: CORS for collector paths, and for no other.

A page needs a source key to publish, and whoever looks at the page has it: it should have the scope
`collect` alone, with which it can do nothing else. What reads and administers stays closed to
browsers of other origins, whatever key they show.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware

from shared.observability.listener import App, Receive, Scope, Send

MAX_AGE_SECONDS = 7200
"""As long as any browser remembers a permission."""


class CollectorCors:
    """ASGI middleware around the whole API; requests to other paths pass it by."""

    def __init__(self, app: App, paths: frozenset[str], origins: Sequence[str]) -> None:
        self._app = app
        self._paths = paths
        self._shared = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "X-Trace-Id"],
            max_age=MAX_AGE_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self._paths:
            await self._shared(scope, receive, send)
        else:
            await self._app(scope, receive, send)
