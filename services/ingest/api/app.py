"""Puts the collector's application together: events for source keys, sources for tokens."""

from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.api import live as live_stream
from services.ingest.api import receipts
from services.ingest.api.collector import MAX_BODY_BYTES, PATHS, collector_router
from services.ingest.api.failed_events import failed_events_router
from services.ingest.api.peers import Peers
from services.ingest.api.sources import sources_router
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.replay_failed_events import Replayer
from services.ingest.use_cases.watch_events import LiveEvents
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
    peers: Peers,
    live: LiveEvents,
    replayer: Replayer,
) -> FastAPI:
    """The application; `publisher.run` and `live.run` have to run beside it."""
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[
            collector_router(registry=registry, publisher=publisher, topics=topics),
            sources_router(registry=registry, open_channel=open_channel, peers=peers),
            receipts.receipts_router(registry=registry, peers=peers, taken=publisher.taken),
            live_stream.live_router(registry=registry, live=live),
            failed_events_router(replayer),
        ],
        open_paths=PATHS | {receipts.PATH, live_stream.PATH},
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
