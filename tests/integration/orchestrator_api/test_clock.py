"""The test clock over HTTP: shifted for everybody, put back, and refused in production."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import business_clock
from shared.access import Role
from shared.postgres.transaction import transaction
from tests.integration.orchestrator_api.conftest import make_app
from tests.support.api import calling


async def ahead(engine: AsyncEngine) -> timedelta:
    async with transaction(engine) as tx:
        return (await business_clock.read(tx)).ahead


async def test_the_clock_goes_forward_and_back(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    for step, shown in [("PT12H", "PT12H"), ("P1DT30M", "P1DT12H30M")]:
        answer = await admin.post("/v1/test-clock", json={"advance": step})
        assert answer.status_code == 200
        assert answer.json()["ahead"] == shown
    now = datetime.fromisoformat(answer.json()["now"])
    assert timedelta(hours=36) < now - datetime.now(UTC) < timedelta(hours=37)  # noqa: TID251
    assert (await admin.get("/v1/test-clock")).json()["ahead"] == "P1DT12H30M"
    assert await ahead(engine) == timedelta(days=1, hours=12, minutes=30)
    assert (await admin.delete("/v1/test-clock")).json()["ahead"] == "PT0S"
    assert await ahead(engine) == timedelta(0)
    audit = (await admin.get("/v1/audit", params={"kind": "test_clock"})).json()["items"]
    assert [(one["action"], one["after"]) for one in audit] == [
        ("reset", {"ahead_seconds": 0}),
        ("advance", {"ahead_seconds": 131_400}),
        ("advance", {"ahead_seconds": 43_200}),
    ]


@pytest.mark.parametrize("step", ["-PT1H", "PT0S", "12h", "P1M", "", "PT1H" * 20])
async def test_what_is_no_step_forward_is_refused(admin: httpx.AsyncClient, step: str) -> None:
    answer = await admin.post("/v1/test-clock", json={"advance": step})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == "advance"


async def test_production_refuses(engine: AsyncEngine, tokens: dict[Role, str]) -> None:
    async with calling(make_app(engine, shiftable_clock=False), tokens[Role.ADMIN]) as admin:
        for answer in [
            await admin.post("/v1/test-clock", json={"advance": "PT12H"}),
            await admin.delete("/v1/test-clock"),
        ]:
            assert answer.status_code == 403
            assert "production" in answer.json()["detail"]
        assert (await admin.get("/v1/test-clock")).status_code == 200
    assert await ahead(engine) == timedelta(0)
