"""Which touches have the credit for a journey's goal, over what was really sent."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.use_cases.read_attribution import read_attribution
from shared.access import Role
from shared.errors import Unprocessable
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.test_part import merge_of
from tests.integration.orchestrator_api.test_journey_runs import Theatre, opened
from tests.integration.orchestrator_api.test_journeys import URL
from tests.unit.orchestrator.build import profile_json, uid
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

DAY = timedelta(days=1)
GOAL = {"event": "Bought", "within": "P10D", "exits": False}
CREDIT = document(
    mail("hi", "rest"), wait("rest", "bye", duration="P2D"), mail("bye"), end(), goal=GOAL
)
NUDGE = document(mail("nudge"), end(), entry={"type": "event", "event": "Seen"})
CALL = document(
    {"id": "call", "type": "task", "channel": "call_centre", "queue": "sales",
     "content": {"body": "Call"}, "next": "end"},
    end(),
    entry={"type": "event", "event": "Wished"},
    goal=GOAL,
)  # fmt: skip


@pytest.fixture
async def theatre(engine: AsyncEngine, tokens: dict[Role, str]) -> AsyncIterator[Theatre]:
    async with opened(engine, tokens[Role.ADMIN]) as found:
        yield found


async def credit(theatre: Theatre, key: str, **query: Any) -> dict[str, int]:
    """The conversions by the node that has the credit; those without one under `-`."""
    found = await theatre.get(f"{URL}/{key}/attribution", **query)
    by_node = {one["node"]: one["conversions"] for one in found["items"]}
    assert found["conversions"] == found["untouched"] + sum(by_node.values())
    return by_node | {"-": found["untouched"]}


async def action_of(theatre: Theatre, who: str, rule: str) -> UUID:
    """The action that a node asked for, for a person."""
    found: UUID = await theatre.stage.scalar(
        "SELECT action_id FROM action WHERE profile_id = :id AND rule = :rule",
        id=uid(who),
        rule=rule,
    )
    return found


async def said(theatre: Theatre, who: str, rule: str, outcome: str) -> None:
    """A channel says what became of the action of a node."""
    named = {"action_id": str(await action_of(theatre, who, rule))}
    await theatre.stage.does(f"{who}-{rule}-{outcome}", outcome, who=who, properties=named)


async def played(theatre: Theatre) -> datetime:
    """Six people buy, on the days 1, 3 and 12; the instant of the beginning."""
    stage = theatre.stage
    await theatre.publish("credit", CREDIT)
    await theatre.publish("other", NUDGE)
    begin = await stage.now()
    await stage.does("dan-seen", "Seen", who="dan")
    await stage.does("fay-seen", "Seen", who="fay")
    for who in ("ada", "bob", "dan", "eve"):
        await stage.does(f"{who}-in", who=who)
    nowhere = profile_json(uid("cyd"), identifiers=[])
    await stage.does("cyd-in", who="cyd", profile=nowhere)
    await said(theatre, "dan", "credit/hi", "email.bounced")
    await stage.advance(DAY)
    for who in ("bob", "cyd", "dan"):
        await stage.does(f"{who}-buys", "Bought", who=who)
    await stage.advance(DAY)
    await stage.fire()
    await stage.advance(DAY)
    await stage.does("ada-buys", "Bought", who="ada")
    await stage.does("eve-bought", "Bought", who="eve", ago=2 * DAY)
    await stage.advance(2 * DAY)
    await stage.does("fay-in", who="fay")
    await stage.advance(2 * DAY)
    await stage.fire()
    await stage.advance(5 * DAY)
    await stage.does("fay-buys", "Bought", who="fay")
    return begin


async def test_the_last_and_the_first_touch(theatre: Theatre) -> None:
    # ada hi, bye, buys. bob hi, buys, bye. cyd: nothing could be sent, buys. dan nudge, hi that
    # bounced, buys. eve hi, buys at a till, bye, and the till tells it. fay nudge, after five days
    # hi, bye, and buys twelve days after the nudge, which the window of ten does not reach.
    begin = await played(theatre)
    assert await credit(theatre, "credit") == {"bye": 2, "hi": 2, "nudge": 1, "-": 1}
    assert await credit(theatre, "credit", model="first") == {"hi": 4, "nudge": 1, "-": 1}
    assert (await theatre.get(f"{URL}/credit/stats"))["converted"] == 6
    later = {"from": (begin + 2 * DAY).isoformat()}
    assert await credit(theatre, "credit", **later) == {"bye": 2, "hi": 1, "-": 0}
    earlier = {"to": (begin + 2 * DAY).isoformat()}
    assert await credit(theatre, "credit", **earlier) == {"hi": 1, "nudge": 1, "-": 1}
    found = await theatre.get(f"{URL}/credit/attribution", model="first", **earlier)
    assert found["items"] == [
        {"rule": None, "journey": journey, "node": node, "channel": "email", "kind": "send",
         "conversions": 1}
        for journey, node in (("credit", "hi"), ("other", "nudge"))
    ]  # fmt: skip
    assert datetime.fromisoformat(found["to"]) == begin + 2 * DAY
    assert datetime.fromisoformat(found["to"]) - datetime.fromisoformat(found["from"]) == 30 * DAY


async def test_the_person_is_who_they_are_now(theatre: Theatre) -> None:
    await theatre.publish("credit", CREDIT)
    await theatre.publish("other", NUDGE)
    await theatre.stage.does("seen", "Seen", who="ada")
    await theatre.stage.advance(DAY)
    await theatre.stage.does("in", who="visitor")
    for record in merge_of(theatre.stage):
        await theatre.stage.respond(record)
    await theatre.stage.advance(DAY)
    await theatre.stage.does("buys", "Bought", who="ada")
    assert await credit(theatre, "credit") == {"hi": 1, "-": 0}
    assert await credit(theatre, "credit", model="first") == {"nudge": 1, "-": 0}


async def test_a_task_is_a_touch_once_somebody_did_it(theatre: Theatre) -> None:
    await theatre.publish("call", CALL)
    for who in ("ada", "bob"):
        await theatre.stage.does(f"{who}-in", "Wished", who=who)
    await theatre.stage.advance(DAY)
    await theatre.stage.does("ada-buys", "Bought", who="ada")
    await theatre.stage.advance(DAY)
    for who in ("ada", "bob"):
        await said(theatre, who, "call/call", "call_centre.accepted")
    await theatre.stage.advance(DAY)
    await theatre.stage.does("bob-buys", "Bought", who="bob")
    assert await credit(theatre, "call") == {"call": 1, "-": 1}
    [item] = (await theatre.get(f"{URL}/call/attribution"))["items"]
    assert (item["channel"], item["kind"]) == ("call_centre", "task")


async def test_what_is_asked_has_limits(theatre: Theatre) -> None:
    begin = await played(theatre)
    url = f"{URL}/credit/attribution"
    for query in (
        {"from": begin.isoformat(), "to": begin.isoformat()},
        {"from": (begin - 93 * DAY).isoformat(), "to": begin.isoformat()},
        {"from": "2026-01-01T00:00:00"},
        {"model": "linear"},
    ):
        assert (await theatre.api.get(url, params=query)).status_code == 422
    assert (await theatre.api.get(f"{URL}/nowhere/attribution")).status_code == 404

    async def conversions(most: int) -> int:
        async with transaction(theatre.stage.engine) as tx:
            read = await read_attribution(tx, "credit", "last", starts=begin, ends=None, most=most)
        return read.attribution.conversions

    assert await conversions(6) == 6
    with pytest.raises(Unprocessable) as refused:
        await conversions(5)
    assert refused.value.problems[0].rule == "too_many"
