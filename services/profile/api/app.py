"""Puts the profile API together."""

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.changes import router as changes
from services.profile.api.link_suggestions import router as link_suggestions
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
    engine: AsyncEngine, *, health: Health, topics: Topics, counts: PartitionCounts, rules: Rules
) -> FastAPI:
    """The application. `topics` and `counts` say where updates go; `rules` are those of the
    worker."""
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[profiles, changes, timeline, touchpoints, link_suggestions],
    )
    give(app, ApiState(rules=rules, topics=topics, counts=counts))
    return app
