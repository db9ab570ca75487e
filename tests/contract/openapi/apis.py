"""The OpenAPI documents of the three services, made from their applications.

An application is built as at start, with doors that are never opened: making the document needs
neither PostgreSQL nor Kafka.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.api.app import create_app as create_ingest
from services.ingest.api.peers import Peers
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.replay_failed_events import Replayer
from services.ingest.use_cases.watch_events import LiveEvents
from services.orchestrator.api.app import create_app as create_orchestrator
from services.orchestrator.api.decide import Asking
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.api.send_test import Sending
from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.next_best_action import NextBestAction
from services.orchestrator.use_cases.prepare_channel import Preparing
from services.orchestrator.use_cases.rehearsal.request import Rehearsing
from services.profile.api.app import create_app as create_profile
from services.profile.domain.absorb import Rules
from shared.contracts.topics import Topics
from shared.kafka.catalogue import Catalogue
from shared.kafka.messages import PartitionCounts
from shared.kafka.publisher import Publisher
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from tests.contract.openapi.compatible import Document

NOWHERE = "127.0.0.1:9"


def api_documents() -> dict[str, Document]:
    """The OpenAPI document of each service by the service's name."""
    return {name: app.openapi() for name, app in _applications().items()}


def _applications() -> dict[str, FastAPI]:
    topics = Topics()
    profiles = ProfileClient(httpx.AsyncClient(base_url="http://127.0.0.1"))
    return {
        "ingest": _ingest(topics),
        "profile": create_profile(
            _engine("profile"),
            health=Health("profile-api", {}),
            topics=topics,
            counts=PartitionCounts(),
            rules=Rules,
        ),
        "orchestrator": create_orchestrator(
            _engine("orchestrator"),
            health=Health("orchestrator-api", {}),
            profiles=profiles,
            asking=Asking(
                NextBestAction(
                    _engine("orchestrator"),
                    ruleset=_no_rules,
                    topics=topics,
                    counts=PartitionCounts(),
                ),
                _no_rules,
                _nobody,
                b"",
            ),
            preparing=Preparing(Outgoing(AddressPolicy()), SecretFolder(None), _nothing_opens),
            sending=Sending(topics, PartitionCounts()),
            rehearsing=Rehearsing(_never_kept, Estimates),
            shiftable_clock=False,
            topics=topics,
            counts=PartitionCounts(),
            definitions=ProfileDefinitions(httpx.AsyncClient(base_url="http://127.0.0.1")),
        ),
    }


async def _nobody(_type: str, _value: str) -> None:
    return None


async def _nothing_opens(_channels: Iterable[str]) -> None:
    return None


async def _never_kept() -> datetime:
    raise NotImplementedError


def _no_rules() -> RuleSet:
    return RuleSet(epoch=0)


def _ingest(topics: Topics) -> FastAPI:
    engine = _engine("ingest")
    catalogue = Catalogue(NOWHERE, client_id="documents", topics=topics)
    publisher = Publisher(NOWHERE, client_id="documents")
    registry, rounds = Registry(engine), GroupPublisher(publisher, catalogue.counts)
    return create_ingest(
        engine,
        health=Health("ingest-collector", {}),
        registry=registry,
        publisher=rounds,
        open_channel=OpenChannel(catalogue, topics),
        topics=topics,
        peers=Peers(httpx.AsyncClient(), httpx.AsyncClient()),
        live=LiveEvents(NOWHERE, catalogue=catalogue, topics=topics),
        replayer=Replayer(
            engine,
            registry=registry,
            publisher=rounds,
            topics=topics,
            allow_unregistered=False,
            live=timedelta(),
        ),
    )


def _engine(schema: str) -> AsyncEngine:
    return create_engine("postgresql://127.0.0.1/nowhere", schema=schema, application="documents")
