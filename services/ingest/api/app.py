"""Puts the collector's application together: events for source keys, sources for tokens."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.api.collector import MAX_BODY_BYTES, PATHS, collector_router
from services.ingest.api.event_schemas import event_schemas_router
from services.ingest.api.event_types import event_types_router
from services.ingest.api.sources import sources_router
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from shared.contracts.topics import Topics
from shared.http import app as http
from shared.observability.health import Health

TITLE = "Concert ingest"
VERSION = "1"
SOURCE_KEY: dict[str, Any] = {
    "type": "http",
    "scheme": "basic",
    "description": "The source's key as user name; `writeKey` in the body and Bearer work too.",
}


def create_app(
    engine: AsyncEngine,
    *,
    health: Health,
    registry: Registry,
    publisher: GroupPublisher,
    open_channel: OpenChannel,
    topics: Topics,
) -> FastAPI:
    """The application; `publisher.run` has to run beside it."""
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[
            collector_router(registry=registry, publisher=publisher, topics=topics),
            sources_router(registry=registry, open_channel=open_channel),
            event_schemas_router(),
            event_types_router(),
        ],
        open_paths=PATHS,
        max_body_bytes=MAX_BODY_BYTES,
        accepts_gzip=True,
    )
    return _describe_source_keys(app)


def _describe_source_keys(app: FastAPI) -> FastAPI:
    """Name the source key in the OpenAPI document; the routes refer to it."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["SourceKey"] = SOURCE_KEY
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to extend it
    return app
