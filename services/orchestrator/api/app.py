"""Puts the orchestrator's API together."""

from functools import partial

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.api.actions import router as actions
from services.orchestrator.api.clock import clock_router
from services.orchestrator.api.decide import Asking, decide_router, quick_decide
from services.orchestrator.api.decisions import router as decisions
from services.orchestrator.api.deliveries import deliveries_router
from services.orchestrator.api.delivery_progress import router as delivery_progress
from services.orchestrator.api.drafts import draft_router
from services.orchestrator.api.experiments import experiments_router
from services.orchestrator.api.journey_attribution import router as journey_attribution
from services.orchestrator.api.journey_dry_run import dry_run_router
from services.orchestrator.api.journey_runs import runs_router
from services.orchestrator.api.journeys import journeys_router
from services.orchestrator.api.people import router as people
from services.orchestrator.api.preview import preview_router
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.api.saved import saved_router
from services.orchestrator.api.send_test import Sending, send_test_router
from services.orchestrator.api.simulations import simulations_router
from services.orchestrator.api.tasks import tasks_router
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.storage import saved
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.order_run import Means
from services.orchestrator.use_cases.prepare_channel import Preparing, prepare_channel
from services.orchestrator.use_cases.rehearsal.request import Rehearsing
from shared.contracts.topics import Topics
from shared.http import app as http
from shared.kafka.messages import PartitionCounts
from shared.observability.health import Health

TITLE = "Concert orchestrator"
VERSION = "1"


def create_app(
    engine: AsyncEngine,
    *,
    health: Health,
    profiles: ProfileClient,
    asking: Asking,
    shiftable_clock: bool,
    topics: Topics,
    counts: PartitionCounts,
    definitions: ProfileDefinitions,
    preparing: Preparing,
    sending: Sending,
    rehearsing: Rehearsing,
) -> FastAPI:
    """The application. `shiftable_clock` only where the deployment is for tests; `topics` and
    `counts` say where events go."""
    return http.create_app(
        title=TITLE,
        version=VERSION,
        health=health,
        engine=engine,
        routers=[
            draft_router(Kind.RULE, "/v1/rules", definitions),
            draft_router(Kind.CONTACT_POLICY, "/v1/contact-policies", definitions),
            journeys_router(definitions, profiles, topics, counts),
            runs_router(Means(engine, asking.ruleset, topics, counts)),
            journey_attribution,
            dry_run_router(asking.ruleset),
            experiments_router(definitions, asking.ruleset),
            saved_router(saved.Kind.TEMPLATE, "/v1/templates"),
            preview_router(profiles),
            send_test_router(profiles, sending),
            saved_router(saved.Kind.CHANNEL, "/v1/channels", partial(prepare_channel, preparing)),
            delivery_progress,
            decide_router(asking),
            simulations_router(rehearsing, definitions),
            saved_router(saved.Kind.RESOURCE, "/v1/resources"),
            decisions,
            actions,
            deliveries_router(topics, counts),
            tasks_router(topics, counts),
            people,
            clock_router(shiftable=shiftable_clock),
        ],
        quick=[quick_decide(asking)],
    )
