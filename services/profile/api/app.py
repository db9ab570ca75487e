"""Puts the profile API together."""

from collections.abc import Callable

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.audience_events import router as audience_events
from services.profile.api.changes import router as changes
from services.profile.api.definitions import personas, segments
from services.profile.api.events import router as events
from services.profile.api.identity import router as identity
from services.profile.api.identity_rules import router as identity_rules
from services.profile.api.leaves import router as leaves
from services.profile.api.link_suggestions import router as link_suggestions
from services.profile.api.privacy_requests import router as privacy_requests
from services.profile.api.profiles import router as profiles
from services.profile.api.state import ApiState, give
from services.profile.api.timeline import router as timeline
from services.profile.api.touchpoints import router as touchpoints
from services.profile.domain.absorb import Rules
from shared.contracts.topics import Topics
from shared.http import app as http
from shared.kafka.messages import PartitionCounts
from shared.observability.health import Health

TITLE = "Concert profile"
VERSION = "1"


def create_app(
    engine: AsyncEngine,
    *,
    health: Health,
    topics: Topics,
    counts: PartitionCounts,
    rules: Callable[[], Rules],
    can_erase: bool = True,
) -> FastAPI:
    """The application. `topics` and `counts` say where updates go; `rules` gives those in force,
    as the worker has them; without `can_erase` nobody can be erased."""
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[
            profiles,
            changes,
            timeline,
            touchpoints,
            audience_events,
            events,
            identity,
            identity_rules,
            segments,
            personas,
            leaves,
            link_suggestions,
            privacy_requests,
        ],
    )
    give(app, ApiState(current=rules, topics=topics, counts=counts, can_erase=can_erase))
    return app
