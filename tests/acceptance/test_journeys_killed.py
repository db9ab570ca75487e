"""Scenario 23: whoever decides and whoever fires timers is killed again and again while many people
are in a journey; every step is taken once, and nothing is lost."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually

PEOPLE = 200
STEPS = ("one", "two", "three")
KILLS = 6
PRICE = {"type": "message", "channel": "email", "content": {"subject": "Hi", "body": "Hi"}}


def journey() -> dict[str, Any]:
    """Three messages, a day apart."""
    nodes: list[dict[str, Any]] = []
    for place, step in enumerate(STEPS):
        following = f"rest-{step}" if place + 1 < len(STEPS) else "end"
        nodes.append({"id": step, **PRICE, "next": following})
        if following != "end":
            nodes.append(
                {"id": following, "type": "wait", "duration": "P1D", "next": STEPS[place + 1]}
            )
    nodes.append({"id": "end", "type": "exit", "reason": "completed"})
    return {
        "category": "transactional",
        "entry": {"type": "event", "event": "Begun"},
        "nodes": nodes,
    }


@pytest.mark.timeout(400)
async def test_23_who_is_killed_takes_no_step_twice_and_loses_none(own_concert: Concert) -> None:
    concert = own_concert
    await concert.start()
    async with concert.api("orchestrator-api") as api:
        await put_and_publish(api, "/v1/journeys/killed", journey())
        await concert.until_live()
        now = (await api.get("/v1/test-clock")).json()["now"]
        await concert.publish(
            *(
                concert.event(
                    "web",
                    {
                        "id": f"begun-{number}",
                        "source": "test",
                        "type": "Begun",
                        "occurred_at": now,
                        "identifiers": [{"type": "email", "value": f"k{number}@mail.example"}],
                    },
                    key=str(number).encode(),
                )
                for number in range(PEOPLE)
            )
        )
        chance = random.Random(23)
        days = asyncio.create_task(_days(api))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.3, 2.0))
            concert.restart(chance.choice(["orchestrator-worker", "orchestrator-poller"]))
        await days
        for label in ("orchestrator-worker", "orchestrator-poller"):
            await concert.running[label].until_ready()
        await eventually(
            lambda: _ended(api), until=lambda n: n == PEOPLE, within=120, what="all are through"
        )
    await concert.until_done("web")
    sent = [
        (one["run"], one["node"])
        for one in await concert.read(concert.topics.actions("email"))
        if one["kind"] == "send"
    ]
    rows = await concert.owner.fetch(
        "SELECT run, occurrence, count(*) AS n FROM orchestrator.action GROUP BY run, occurrence"
    )
    assert len(rows) == PEOPLE * len(STEPS)
    assert {row["n"] for row in rows} == {1}
    assert Counter(node for _, node in set(sent)) == dict.fromkeys(STEPS, PEOPLE)


async def _days(api: httpx.AsyncClient) -> None:
    """Three days go by in a few seconds, half a day at a time."""
    for _ in range(8):
        await asyncio.sleep(1.5)
        answer = await api.post("/v1/test-clock", json={"advance": "PT12H"})
        answer.raise_for_status()


async def _ended(api: httpx.AsyncClient) -> int:
    """How many completed; days go on until all have."""
    (await api.post("/v1/test-clock", json={"advance": "PT6H"})).raise_for_status()
    stats = (await api.get("/v1/journeys/killed/stats")).raise_for_status().json()
    ended: dict[str, int] = stats["ended"]
    return ended.get("completed", 0)
