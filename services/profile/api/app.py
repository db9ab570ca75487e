"""Puts the profile API together."""

from collections.abc import Callable

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.audience_events import router as audience_events
from services.profile.api.changes import router as changes
from services.profile.api.consent_purposes import opt_outs, purposes
from services.profile.api.consents import router as consents
from services.profile.api.definitions import personas, segments, traits
from services.profile.api.events import router as events
from services.profile.api.exports import router as exports
from services.profile.api.groups import accounts, households
from services.profile.api.groups import of_profile as groups_of_profile
from services.profile.api.identity import router as identity
from services.profile.api.identity_rules import router as identity_rules
from services.profile.api.leaves import router as leaves
from services.profile.api.link_suggestions import router as link_suggestions
from services.profile.api.lists import router as lists
from services.profile.api.preferences import OPEN_PATHS, preferences_router
from services.profile.api.privacy_requests import router as privacy_requests
from services.profile.api.profiles import router as profiles
from services.profile.api.search import router as search
from services.profile.api.segment_shape import router as segment_shape
from services.profile.api.snapshots import quick_snapshots
from services.profile.api.snapshots import router as snapshots
from services.profile.api.state import ApiState, give
from services.profile.api.timeline import router as timeline
from services.profile.api.touchpoints import router as touchpoints
from services.profile.api.trait_catalogue import router as trait_catalogue
from services.profile.domain.absorb import Rules
from services.profile.use_cases.consent_links import ConsentLinks, LinkKeys
from shared.contracts.topics import Topics
from shared.http import app as http
from shared.kafka.messages import PartitionCounts
from shared.observability.health import Health

TITLE = "Concert profile"
VERSION = "1"
MAX_BODY_BYTES = 8 * 1024 * 1024
"""A file of a static list's members is the largest body."""


def create_app(
    engine: AsyncEngine,
    *,
    health: Health,
    topics: Topics,
    counts: PartitionCounts,
    rules: Callable[[], Rules],
    keys: LinkKeys | None = None,
    can_erase: bool = True,
) -> FastAPI:
    """The application. `topics` and `counts` say where updates go; `rules` gives those in force,
    as the worker has them; `keys` sign links to the pages for customers; without `can_erase`
    nobody can be erased."""
    state = ApiState(current=rules, topics=topics, counts=counts, can_erase=can_erase)
    links = None
    if keys is not None:
        links = ConsentLinks(
            engine, keys, topics=topics, counts=counts, rules=rules, live=state.live
        )
    app = http.create_app(
        title=TITLE,
        version=VERSION,
        max_body_bytes=MAX_BODY_BYTES,
        health=health,
        engine=engine,
        routers=[
            profiles,
            snapshots,
            search,
            segment_shape,
            exports,
            changes,
            consents,
            purposes,
            opt_outs,
            preferences_router(links),
            timeline,
            touchpoints,
            audience_events,
            events,
            identity,
            identity_rules,
            segments,
            personas,
            trait_catalogue,
            traits,
            leaves,
            link_suggestions,
            households,
            accounts,
            groups_of_profile,
            lists,
            privacy_requests,
        ],
        open_paths=OPEN_PATHS,
        quick=[quick_snapshots(engine, state)],
    )
    give(app, state)
    return app
