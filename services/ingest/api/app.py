"""Puts the collector's application together: events for source keys, sources for tokens."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.api import cloudevents, collector, receipts, webhooks
from services.ingest.api import live as live_stream
from services.ingest.api.bodies import MAX_BODY_BYTES
from services.ingest.api.cloudevents import cloudevents_router
from services.ingest.api.collector import collector_router
from services.ingest.api.cors import CollectorCors
from services.ingest.api.event_schemas import event_schemas_router
from services.ingest.api.event_types import event_types_router
from services.ingest.api.failed_events import failed_events_router
from services.ingest.api.peers import Peers
from services.ingest.api.people import router as people
from services.ingest.api.sources import sources_router
from services.ingest.api.webhooks import webhooks_router
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.collect import Door
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.rate_limit import RateLimit
from services.ingest.use_cases.replay_failed_events import Replayer
from services.ingest.use_cases.watch_events import LiveEvents
from shared.contracts.topics import Topics
from shared.http import app as http
from shared.observability.health import Health

TITLE = "Concert ingest"
VERSION = "1"
BROWSER_PATHS = collector.PATHS | {cloudevents.PATH}
OPEN_PATHS = BROWSER_PATHS | {webhooks.PATH, receipts.PATH, live_stream.PATH}
SOURCE_KEYS: dict[str, dict[str, Any]] = {
    "SourceKey": {
        "type": "http",
        "scheme": "basic",
        "description": "The source's key as user name; Bearer and, in Segment calls, `writeKey` in"
        " the body work too.",
    },
    "WriteKey": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
    "QueryKey": {"type": "apiKey", "in": "query", "name": "key"},
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
    origins: Sequence[str] = (),
) -> FastAPI:
    """The application; `publisher.run` and `live.run` have to run beside it.

    Pages of `origins` may publish (`*`: of all origins); without any, only same-origin ones.
    """
    door = Door(topics, publisher, RateLimit())
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[
            collector_router(registry=registry, door=door),
            cloudevents_router(registry=registry, door=door),
            webhooks_router(registry=registry, door=door),
            sources_router(registry=registry, open_channel=open_channel, peers=peers),
            receipts.receipts_router(registry=registry, peers=peers, taken=publisher.taken),
            live_stream.live_router(registry=registry, live=live),
            failed_events_router(replayer, registry),
            event_schemas_router(),
            event_types_router(),
            people,
        ],
        open_paths=OPEN_PATHS,
        max_body_bytes=MAX_BODY_BYTES,
        accepts_gzip=True,
    )
    if origins:
        app.add_middleware(CollectorCors, paths=BROWSER_PATHS, origins=origins)
    return _describe_source_keys(app)


def _describe_source_keys(app: FastAPI) -> FastAPI:
    """Name the ways to show a source key in the OpenAPI document; the routes refer to them."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        components = document.setdefault("components", {})
        components.setdefault("securitySchemes", {}).update(SOURCE_KEYS)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to extend it
    return app
