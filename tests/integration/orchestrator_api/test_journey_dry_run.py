"""One person goes through a journey over HTTP, with chosen answers and a clock that moves."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from tests.integration.orchestrator.stage import STATE
from tests.integration.orchestrator_api.test_drafts import done, put
from tests.integration.orchestrator_api.test_journey_runs import Theatre, opened
from tests.integration.orchestrator_api.test_journeys import URL
from tests.unit.orchestrator.journeys.build import NOON, document, end, mail, wait

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT = NOON.isoformat()
CART = document(
    mail("hello", "rest", template="cart", content=None, outcomes={"capped": "end"}),
    wait("rest", "call", duration="P2D"),
    {"id": "call", "type": "task", "channel": "call_centre", "queue": "sales",
     "content": {"body": "Call {{ profile.first_name }}"}, "expires_in": "P7D",
     "outcomes": {"accepted": "end"}},
    end(),
    entry={"type": "event", "event": "Cart Updated",
           "where": {"attr": "event.total", "op": "gte", "value": 50}},
    exit_criteria=[{"event": "Returned"}],
    goal={"event": "Bought", "within": "P30D"},
)  # fmt: skip
CART["nodes"][0].pop("content")
TEMPLATE = {
    "channel": "email",
    "content": {"en": {"subject": "Your {{ event.item }}", "body": "Dear {{ profile.name }}"}},
    "fallbacks": {"name": "customer"},
}
FULL = {"type": "Cart Updated", "properties": {"total": 60, "item": "lamp"}}


@pytest.fixture
async def theatre(engine: AsyncEngine, tokens: dict[Role, str]) -> AsyncIterator[Theatre]:
    async with opened(engine, tokens[Role.ADMIN]) as found:
        if (await found.api.get("/v1/templates/cart")).status_code == 404:
            await done(await put(found.api, "/v1/templates/cart", TEMPLATE))
        await save(found, CART)
        await found.refresh()
        yield found


async def save(theatre: Theatre, body: dict[str, Any]) -> None:
    """Save the draft, whatever it was before."""
    present = await theatre.api.get(f"{URL}/cart")
    tag = {} if present.status_code == 404 else {"If_Match": present.headers["etag"]}
    await done(await put(theatre.api, f"{URL}/cart", body, **tag))


async def tried(theatre: Theatre, **body: Any) -> Any:
    asked = {"event": FULL, "at": AT} | body
    return await done(await theatre.api.post(f"{URL}/cart:dry-run", json=asked))


def told(found: Any, *kinds: str) -> list[tuple[timedelta, str, str | None, str]]:
    """The steps of some kinds with the time since the beginning."""
    return [
        (datetime.fromisoformat(one["at"]) - NOON, one["kind"], one["node"], one["word"])
        for one in found["steps"]
        if one["kind"] in kinds
    ]


async def refusals(theatre: Theatre, **body: Any) -> dict[str, str]:
    """The rules that a body breaks, by their paths."""
    answer = await theatre.api.post(f"{URL}/cart:dry-run", json=body)
    assert answer.status_code == 422, answer.text
    return {one["path"]: one["rule"] for one in answer.json()["errors"]}


async def test_every_step_has_its_instant_and_what_would_be_sent(theatre: Theatre) -> None:
    found = await tried(
        theatre,
        profile={"traits": {"first_name": "Ada"}},
        answers={"call": {"outcomes": [{"after": "PT5H", "outcome": "accepted"}]}},
    )
    assert told(found, "arrived", "asks", "ended") == [
        (0 * DAY, "arrived", "hello", ""),
        (0 * DAY, "asks", "hello", "email"),
        (0 * DAY, "arrived", "rest", ""),
        (2 * DAY, "arrived", "call", ""),
        (2 * DAY, "asks", "call", "call_centre"),
        (2 * DAY + 5 * HOUR, "arrived", "end", ""),
        (2 * DAY + 5 * HOUR, "ended", "end", "completed"),
    ]
    mailed, called = (one["action"] for one in found["steps"] if one["action"] is not None)
    assert mailed == {
        "channel": "email", "type": "message", "template": "cart", "problem": None,
        "content": {"subject": "Your lamp", "body": "Dear customer"},
    }  # fmt: skip
    assert (called["type"], called["content"]) == ("task", {"body": "Call Ada"})
    assert (found["refused"], found["complete"], found["version"]) == (None, True, None)
    assert found["run"]["status"] == "completed"
    assert found["run"]["sentence"].startswith("It ended on end at ")


async def test_answers_and_events_are_chosen(theatre: Theatre) -> None:
    capped = await tried(theatre, answers={"hello": {"answer": "capped"}})
    assert [node for _, _, node, _ in told(capped, "arrived")] == ["hello", "end"]
    bought = await tried(theatre, happens=[{"after": "P1D", "event": {"type": "Bought"}}])
    assert told(bought, "goal", "ended") == [
        (DAY, "goal", "rest", "hello"),
        (DAY, "ended", "rest", "goal"),
    ]
    assert datetime.fromisoformat(bought["run"]["goal_at"]) == NOON + DAY
    left = await tried(theatre, happens=[{"after": "PT36H", "event": {"type": "Returned"}}])
    assert told(left, "ended") == [(36 * HOUR, "ended", "rest", "exit: Returned")]
    early = await tried(theatre, until="P1D")
    assert (early["run"]["status"], early["run"]["node"]) == ("waiting", "rest")
    assert datetime.fromisoformat(early["run"]["wakes_at"]) == NOON + 2 * DAY


async def test_the_event_that_begins_it_has_to_let_people_in(theatre: Theatre) -> None:
    small = await tried(theatre, event=FULL | {"properties": {"total": 20}})
    assert (small["steps"], small["run"]) == ([], None)
    assert (small["refused"]["stage"], small["refused"]["reason"]) == ("trigger", "not_triggered")
    assert "50" in small["refused"]["condition"]
    other = await tried(theatre, event={"type": "Seen"})
    assert other["refused"]["reason"] == "not_triggered"
    without = await tried(theatre, event=None)
    assert told(without, "asks")[0] == (0 * DAY, "asks", "hello", "email")


async def test_the_person_is_as_described(theatre: Theatre) -> None:
    asks = [
        {"attr": "profile.tier", "op": "eq", "value": "gold"},
        {"attr": "profile.computed.orders", "op": "gt", "value": 2},
        {"segment": "vip"},
        {"persona": "hunter"},
        {"consent": {"purpose": "marketing", "channel": "email"}},
    ]
    nodes = [
        wait("w", "which", duration="P1D", local_time="09:00"),
        {"id": "which", "type": "branch", "else": "end",
         "cases": [{"when": {"all": asks}, "next": "gold"}]},
        mail("gold"), end(),
    ]  # fmt: skip
    await save(theatre, CART | {"nodes": nodes})
    profile = {
        "traits": {"tier": "silver"}, "computed": {"orders": 3}, "segments": ["vip"],
        "persona": "hunter", "timezone": "Asia/Tokyo",
        "consents": [{"purpose": "marketing", "channel": "*", "status": "granted"}],
    }  # fmt: skip
    became = [{"after": "PT1H", "traits": {"tier": "gold"}}]
    found = await tried(theatre, profile=profile, happens=became)
    nine_in_tokyo = datetime(NOON.year, NOON.month, NOON.day + 2, tzinfo=NOON.tzinfo) - NOON
    assert (nine_in_tokyo, "asks", "gold", "email") in told(found, "asks")
    assert told(await tried(theatre, profile=profile), "asks") == []
    left = profile | {"segments": []}
    assert told(await tried(theatre, profile=left, happens=became), "asks") == []


async def test_a_version_that_was_published_stays_what_it_is(theatre: Theatre) -> None:
    await done(await theatre.api.post(f"{URL}/cart:publish", json={}))
    await save(theatre, CART | {"nodes": [mail("hello"), end()]})
    first = await tried(theatre, version=1)
    assert (first["version"], first["run"]["node"]) == (1, "call")
    draft = await tried(theatre)
    assert (draft["version"], draft["run"]["node"]) == (None, "end")
    absent = await theatre.api.post(f"{URL}/cart:dry-run", json={"version": 7})
    assert absent.status_code == 404


async def test_what_is_asked_has_limits(theatre: Theatre) -> None:
    assert await refusals(theatre, answers={"helo": {}}) == {"answers.helo": "unknown_node"}
    assert await refusals(theatre, arms={"hello": "b"}) == {"arms.hello": "unknown_arm"}
    for wrong in (
        {"until": "P1099D"},
        {"until": "soon"},
        {"at": "2026-11-23T12:00:00"},
        {"at": "9999-11-23T12:00:00Z"},
        {"profile": {"timezone": "Mars/Base"}},
        {"happens": [{"after": "P1D"}] * 501},
        {"answers": {"hello": {"outcomes": [{"after": "P1D", "outcome": "opened"}] * 21}}},
        {"profile": {"traits": {str(n): n for n in range(201)}}},
        {"surprise": 1},
    ):
        assert await refusals(theatre, **wrong)
    assert (await theatre.api.post(f"{URL}/nowhere:dry-run", json={})).status_code == 404


async def test_nothing_is_stored_and_nobody_is_contacted(theatre: Theatre) -> None:
    async def rows() -> dict[str, int]:
        counted = {}
        for table in (*STATE, "audit_log", "journey"):
            counted[table] = await theatre.stage.scalar(f"SELECT count(*) FROM {table}")
        return counted

    before = await rows()
    await tried(theatre)
    assert await rows() == before
