"""Runs over HTTP: who is where and why, what was counted, and what operators do about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.run import Run
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases import order_run as orders
from services.orchestrator.use_cases.load_ruleset import live_ruleset
from services.orchestrator.use_cases.sweep_runs import sweep_runs
from shared.access import Role
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.runtime.live import Live
from tests.integration.orchestrator.stage import COUNTS, Stage, ask_for_topics
from tests.integration.orchestrator.test_part import merge_of, undo_of
from tests.integration.orchestrator_api.conftest import make_app
from tests.integration.orchestrator_api.test_drafts import done
from tests.integration.orchestrator_api.test_journeys import URL, publish
from tests.support.api import calling
from tests.unit.orchestrator.build import profile_json, uid
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

DAY = timedelta(days=1)
JOURNEY = document(
    mail("hi", "rest"), wait("rest", "bye", duration="P2D"), mail("bye"), end(),
    re_entry={"mode": "never", "key": "event.order"},
    goal={"event": "Bought"},
)  # fmt: skip


class Theatre:
    """A stage on which what is published over HTTP is played."""

    def __init__(self, stage: Stage, live: Live[RuleSet], api: httpx.AsyncClient) -> None:
        self.stage, self.live, self.api = stage, live, api

    async def publish(self, key: str, body: dict[str, Any], **asked: Any) -> dict[str, Any]:
        published = await publish(self.api, key, body, **asked)
        await self.refresh()
        return published

    async def refresh(self) -> None:
        await self.live.refresh()
        self.stage.rules = self.live()

    async def enters(self, *people: str, order: str = "o-1") -> None:
        for who in people:
            await self.stage.does(f"{who}-in-{order}", who=who, properties={"order": order})

    async def get(self, url: str, **query: Any) -> Any:
        return await done(await self.api.get(url, params=query))

    async def runs(self, key: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"{URL}/{key}/runs", **query))["items"]
        return found

    async def sweep(self) -> int:
        told = 0
        while n := await sweep_runs(
            self.stage.engine, ruleset=self.live, topics=Topics(), counts=COUNTS
        ):
            told += n
        return told


@asynccontextmanager
async def opened(engine: AsyncEngine, token: str) -> AsyncIterator[Theatre]:
    """An empty stage, and the API for whoever has the token."""
    live = live_ruleset(engine, ask_for_topics)
    await live.refresh()
    app = make_app(engine, shiftable_clock=True, rules=live)
    stage = Stage(engine, live())
    await stage.empty()
    async with calling(app, token) as client:
        yield Theatre(stage, live, client)


@pytest.fixture
async def theatre(engine: AsyncEngine, tokens: dict[Role, str]) -> AsyncIterator[Theatre]:
    async with opened(engine, tokens[Role.ADMIN]) as found:
        yield found


async def test_a_run_says_where_it_stands_and_why(theatre: Theatre) -> None:
    await theatre.publish("walk", JOURNEY)
    await theatre.enters("ada")
    [one] = await theatre.runs("walk")
    assert (one["node"], one["status"], one["version"]) == ("rest", "waiting", 1)
    assert (one["profile_id"], one["key"], one["stuck"]) == (uid("ada"), "o-1", False)
    shown = await theatre.get(f"/v1/runs/{one['id']}")
    assert shown["sentence"].startswith("It stands on rest since ")
    assert f" and waits until {one['wakes_at'][:22]}" in shown["sentence"]
    kinds = [(line["kind"], line["node"], line["word"]) for line in shown["log"]]
    assert kinds == [
        ("entered", None, ""),
        ("arrived", "hi", ""),
        ("answered", "hi", "sent"),
        ("left", "hi", "next"),
        ("arrived", "rest", ""),
    ]
    await theatre.stage.does("bought", "Bought", who="ada")
    over = await theatre.get(f"/v1/runs/{one['id']}")
    assert over["status"] == "completed"
    assert "the goal was reached" in over["sentence"]
    missing = await theatre.api.get(f"/v1/runs/{UUID(int=7)}")
    assert missing.status_code == 404


async def test_runs_are_found_and_paged(theatre: Theatre) -> None:
    await theatre.publish("list", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    await theatre.enters("ada", order="o-2")
    assert len(await theatre.runs("list")) == 4
    assert len(await theatre.runs("list", profile_id=uid("ada"))) == 2
    assert len(await theatre.runs("list", node="rest", version=1, status="waiting")) == 4
    assert await theatre.runs("list", node="bye") == []
    assert await theatre.runs("list", version=2) == []
    assert await theatre.runs("list", stuck=True) == []
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        page = await theatre.get(f"{URL}/list/runs", **query)
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 4
    await theatre.stage.advance(3 * DAY)
    stuck = await theatre.runs("list", stuck=True)
    assert len(stuck) == 4
    told = await theatre.get(f"/v1/runs/{stuck[0]['id']}")
    assert "it should have gone on at" in told["sentence"]
    await theatre.stage.fire()
    assert await theatre.runs("list", stuck=True) == []
    assert (await theatre.api.get(f"{URL}/nowhere/runs")).status_code == 404


async def test_who_may_not_see_people_sees_no_key(
    theatre: Theatre, tokens: dict[Role, str]
) -> None:
    await theatre.publish("masked", JOURNEY)
    await theatre.enters("ada", order="order-77")
    async with calling(
        make_app(theatre.stage.engine, shiftable_clock=True), tokens[Role.VIEWER]
    ) as viewer:
        [one] = (await done(await viewer.get(f"{URL}/masked/runs")))["items"]
        alone = await done(await viewer.get(f"/v1/runs/{one['id']}"))
    assert one["key"] == alone["key"] == "o***"
    [clear] = await theatre.runs("masked")
    assert clear["key"] == "order-77"
    looked = await theatre.get("/v1/audit", kind="reveal", key="runs")
    assert uid("ada") in str(looked["items"][0]["after"])


async def test_counts_by_node(theatre: Theatre) -> None:
    await theatre.publish("count", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    await theatre.stage.does("eva", who="eva", profile=profile_json(uid("eva"), consents=[]),
                             properties={"order": "o-1"})  # fmt: skip
    await theatre.stage.does("bought", "Bought", who="ada")
    stats = await theatre.get(f"{URL}/count/stats")
    assert (stats["entered"], stats["under_way"], stats["converted"]) == (4, 3, 1)
    assert stats["ended"] == {"goal": 1}
    by_node = {one["node"]: one for one in stats["nodes"]}
    assert list(by_node) == ["hi", "rest", "bye", "end"]
    assert (by_node["hi"]["entered"], by_node["hi"]["left"]) == (4, {"next": 4})
    assert by_node["hi"]["sent"] + sum(by_node["hi"]["suppressed"].values()) == 4
    assert (by_node["hi"]["converted"], by_node["rest"]["waiting"]) == (1, 3)
    assert (await theatre.get(f"{URL}/count/stats", to="2020-01-01"))["entered"] == 0
    wrong = await theatre.api.get(
        f"{URL}/count/stats", params={"from": "2020-01-02", "to": "2020-01-01"}
    )
    assert wrong.status_code == 422


async def test_everybody_who_entered_is_somewhere(theatre: Theatre) -> None:
    stage = theatre.stage
    exits = document(
        wait("w", duration="P9D"), end(),
        re_entry={"mode": "after_exit"}, exit_criteria=[{"event": "Returned"}],
    )  # fmt: skip
    await theatre.publish("sums", exits)

    async def sums() -> tuple[int, int, int, dict[str, int]]:
        """Who entered, is under way, stands aside, and left why."""
        found = await theatre.get(f"{URL}/sums/stats")
        whole = found["under_way"] + found["merged"] + sum(found["ended"].values())
        assert found["entered"] == whole
        return found["entered"], found["under_way"], found["merged"], found["ended"]

    for who in ("ada", "visitor", "bob"):
        await stage.does(f"{who}-in", who=who)
    assert await sums() == (3, 3, 0, {})
    await stage.respond(*merge_of(stage))
    assert await sums() == (3, 2, 1, {})
    await stage.respond(*undo_of(stage))
    assert await sums() == (3, 3, 0, {})
    await stage.respond(*merge_of(stage))
    await stage.does("back", "Returned", who="ada")
    assert await sums() == (3, 1, 0, {"exit: Returned on web": 2})
    await stage.respond(stage.record(uid("bob"), {"kind": "erased", "id": uid("x")}))
    assert await sums() == (3, 0, 0, {"exit: Returned on web": 2, "erased": 1})


async def test_what_an_operator_does_is_done_once_and_audited(theatre: Theatre) -> None:
    await theatre.publish("order", JOURNEY)
    await theatre.enters("ada")
    [run] = await theatre.runs("order")
    url, seen = f"/v1/runs/{run['id']}", {"occurrence": run["occurrence"]}
    wrong = await theatre.api.post(f"{url}:move", json=seen | {"node": "bie"})
    assert wrong.status_code == 422
    assert "bye" in wrong.json()["errors"][0]["message"]
    held = await done(await theatre.api.post(f"{url}:pause", json=seen))
    assert (held["paused"], held["node"]) == (True, "rest")
    assert "it is held" in held["sentence"]
    again = await done(await theatre.api.post(f"{url}:pause", json=seen))
    assert again["paused"]
    assert not (await done(await theatre.api.post(f"{url}:resume", json=seen)))["paused"]
    tried = await done(await theatre.api.post(f"{url}:retry", json=seen))
    assert (tried["node"], tried["occurrence"]) == ("rest", run["occurrence"] + 1)
    late = await theatre.api.post(f"{url}:skip", json=seen)
    assert late.status_code == 409
    assert "look again" in late.json()["detail"]
    skipped = await theatre.api.post(f"{url}:skip", json={"occurrence": tried["occurrence"]})
    assert (await done(skipped))["reason"] == "completed"
    over = await theatre.api.post(f"{url}:stop", json={"occurrence": 0})
    assert over.status_code == 409
    found = await theatre.get("/v1/audit", kind="run", key=run["id"])
    actions = [one["action"] for one in found["items"]]
    assert actions == ["skip", "retry", "resume", "pause", "pause"]
    assert len(await theatre.stage.kinds()) == 2, "one message for each node that was come to"


async def test_a_step_on_a_node_that_is_gone_is_not_taken_once_more(theatre: Theatre) -> None:
    await theatre.publish("gone", JOURNEY)
    await theatre.enters("ada")
    [run] = await theatre.runs("gone")
    fewer = {"nodes": [mail("hi", "end"), end()], "removed_nodes": "finish"}
    await theatre.publish("gone", JOURNEY | fewer, version_policy="follow_live")
    seen = {"occurrence": run["occurrence"]}
    refused = await theatre.api.post(f"/v1/runs/{run['id']}:retry", json=seen)
    assert refused.status_code == 409
    assert "Node rest is not in version 2" in refused.json()["detail"]


async def test_many_are_told_until_the_database_goes_away(
    theatre: Theatre, monkeypatch: pytest.MonkeyPatch
) -> None:
    await theatre.publish("away", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    tell, tries = orders.order_run, iter([None, Infrastructure("postgres", "away")])

    async def flaky(*given: Any, **named: Any) -> Run:
        if (error := next(tries, None)) is not None:
            raise error
        return await tell(*given, **named)

    monkeypatch.setattr(orders, "order_run", flaky)
    url = f"{URL}/away/runs:skip"
    first = await done(await theatre.api.post(url, json={"filter": {"node": "rest"}}))
    assert (first["runs"], first["done"], first["refused"]) == (3, 1, [])
    again = {"filter": {"node": "rest"}, "cursor": first["next_cursor"]}
    rest = await done(await theatre.api.post(url, json=again))
    assert (rest["done"], rest["next_cursor"]) == (2, None)
    assert {one["status"] for one in await theatre.runs("away")} == {"completed"}


async def test_of_two_operators_one_is_told(theatre: Theatre) -> None:
    await theatre.publish("two", JOURNEY)
    await theatre.enters("ada")
    [run] = await theatre.runs("two")
    url, seen = f"/v1/runs/{run['id']}", {"occurrence": run["occurrence"]}
    answers = await asyncio.gather(
        theatre.api.post(f"{url}:retry", json=seen),
        theatre.api.post(f"{url}:retry", json=seen),
    )
    assert sorted(one.status_code for one in answers) == [200, 409]


async def test_many_runs_at_once_with_a_dry_run(theatre: Theatre) -> None:
    await theatre.publish("bulk", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    url = f"{URL}/bulk/runs"
    body = {"filter": {"node": "rest"}, "limit": 2}
    dry = await done(await theatre.api.post(f"{url}:stop", json=body | {"dry_run": True}))
    assert (dry["runs"], dry["done"], dry["next_cursor"]) == (3, 0, None)
    assert dry["places"] == [{"version": 1, "node": "rest", "runs": 3}]
    assert len(await theatre.runs("bulk", status="waiting")) == 3
    first = await done(await theatre.api.post(f"{url}:stop", json=body | {"reason": "mistake"}))
    assert (first["done"], first["refused"]) == (2, [])
    rest = body | {"cursor": first["next_cursor"], "reason": "mistake"}
    second = await done(await theatre.api.post(f"{url}:stop", json=rest))
    assert (second["runs"], second["done"], second["next_cursor"]) == (1, 1, None)
    assert {one["reason"] for one in await theatre.runs("bulk")} == {"mistake"}
    moved = await theatre.api.post(f"{url}:move", json=body | {"node": "hi"})
    assert (await done(moved))["runs"] == 0
    found = await theatre.get("/v1/audit", kind="journey", key="bulk")
    said = found["items"][0]
    assert (said["action"], said["after"]["filter"]) == ("runs:move", {"node": "rest"})


async def test_many_are_moved_and_skipped(theatre: Theatre) -> None:
    await theatre.publish("moving", JOURNEY)
    await theatre.enters("ada", "bob")
    url = f"{URL}/moving/runs"
    wrong = await theatre.api.post(f"{url}:move", json={"node": "nowhere"})
    assert wrong.status_code == 422
    moved = await done(await theatre.api.post(f"{url}:move", json={"node": "rest"}))
    assert (moved["done"], moved["next_cursor"]) == (2, None)
    assert {one["occurrence"] for one in await theatre.runs("moving")} == {3}
    skipped = await done(await theatre.api.post(f"{url}:skip", json={}))
    assert skipped["done"] == 2
    assert {one["status"] for one in await theatre.runs("moving")} == {"completed"}


async def test_of_many_those_of_an_older_version_stay_where_the_node_is_not(
    theatre: Theatre,
) -> None:
    await theatre.publish("older", JOURNEY)
    await theatre.enters("ada", "bob")
    more = {"nodes": [mail("hi", "rest"), wait("rest", "more", duration="P3D"),
                      wait("more", duration="P9D"), end()]}  # fmt: skip
    await theatre.publish("older", JOURNEY | more)
    await theatre.enters("cyd", "dee", "eve")
    url = f"{URL}/older/runs:move"
    moved = await done(await theatre.api.post(url, json={"node": "more"}))
    assert (moved["runs"], moved["done"], len(moved["refused"])) == (5, 3, 2)
    assert len(await theatre.runs("older", node="more", version=2)) == 3


async def test_a_preview_says_what_publishing_then_does(theatre: Theatre) -> None:
    """PostHog #66380: an edit of what is live is asked beforehand whom it affects."""
    await theatre.publish("plan", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    longer = JOURNEY | {
        "nodes": [mail("hi", "think"), wait("think", duration="P9D", replaces=["rest"]), end()],
        "removed_nodes": "exit",
    }
    tag = (await theatre.api.get(f"{URL}/plan")).headers["etag"]
    await done(await theatre.api.put(f"{URL}/plan", json=longer, headers={"If-Match": tag}))
    pinned = await theatre.get(f"{URL}/plan:preview")
    assert (pinned["version_policy"], pinned["totals"]) == ("pin", {"stays": 3})
    followed = await theatre.get(f"{URL}/plan:preview", version_policy="follow_live")
    assert followed["totals"] == {"exits": 3}
    [place] = followed["items"]
    assert (place["version"], place["node"], place["runs"]) == (1, "rest", 3)
    assert len(await theatre.runs("plan", status="waiting")) == 3
    asked = {"version_policy": "follow_live"}
    published = await done(await theatre.api.post(f"{URL}/plan:publish", json=asked))
    assert published["affected"] == followed["items"]
    assert await theatre.sweep() == 0, "who does not know the version yet cannot tell it"
    await theatre.refresh()
    assert await theatre.sweep() == 3
    assert {one["reason"] for one in await theatre.runs("plan")} == {"node_removed"}
    assert (await theatre.api.get(f"{URL}/nothing:preview")).status_code == 404
    assert (await theatre.api.get(f"{URL}/plan:preview?version=9")).status_code == 404


async def test_a_pause_holds_and_releases_at_a_rate(theatre: Theatre) -> None:
    await theatre.publish("held", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    await done(await theatre.api.post(f"{URL}/held:pause"))
    await theatre.refresh()
    await theatre.stage.advance(3 * DAY)
    await theatre.stage.fire()
    assert {one["node"] for one in await theatre.runs("held")} == {"rest"}
    [one, *_] = await theatre.runs("held")
    assert "the journey is paused" in (await theatre.get(f"/v1/runs/{one['id']}"))["sentence"]
    rate = {"rate": {"limit": 1, "per": "PT1H"}}
    wrong = await theatre.api.post(f"{URL}/held:resume", json={"rate": {"limit": 1, "per": "P8D"}})
    assert wrong.status_code == 422
    await done(await theatre.api.post(f"{URL}/held:resume", json=rate))
    assert await theatre.sweep() == 0, "who holds it for paused cannot let anybody go on"
    await theatre.refresh()
    assert await theatre.sweep() == 3
    released = []
    for _ in range(3):
        await theatre.stage.fire()
        released.append(len(await theatre.runs("held", status="completed")))
        await theatre.stage.advance(timedelta(hours=1))
    assert released == [1, 2, 3]


async def test_the_rate_that_is_said_last_holds(theatre: Theatre) -> None:
    await theatre.publish("held", JOURNEY)
    await theatre.enters("ada", "bob", "cyd")
    await done(await theatre.api.post(f"{URL}/held:pause"))
    await theatre.refresh()
    await theatre.stage.advance(3 * DAY)
    await theatre.stage.fire()
    for per in ("P5D", "PT1H"):
        await done(
            await theatre.api.post(f"{URL}/held:resume", json={"rate": {"limit": 1, "per": per}})
        )
        await theatre.refresh()
        assert await theatre.sweep() == 3
        if per == "P5D":
            await done(await theatre.api.post(f"{URL}/held:pause"))
    await theatre.stage.advance(timedelta(hours=2))
    await theatre.stage.fire()
    assert len(await theatre.runs("held", status="completed")) == 3


async def test_an_archived_journey_ends_its_runs_if_that_is_asked(theatre: Theatre) -> None:
    await theatre.publish("ended", JOURNEY)
    await theatre.enters("ada", "bob")
    await done(await theatre.api.post(f"{URL}/ended:archive"))
    await theatre.refresh()
    await theatre.enters("cyd")
    assert await theatre.sweep() == 0
    assert len(await theatre.runs("ended", status="waiting")) == 2
    await done(await theatre.api.post(f"{URL}/ended:archive", json={"runs": "stop"}))
    await theatre.refresh()
    assert await theatre.sweep() == 2
    assert {one["reason"] for one in await theatre.runs("ended")} == {"archived"}


async def test_who_is_asked_for_enters(theatre: Theatre) -> None:
    await theatre.publish("asked", JOURNEY | {"entry": {"type": "api"}, "re_entry": {}})
    for name, source in (("forged", "shop"), ("ours", "concert")):
        await theatre.stage.does(
            name, "concert.journey", source=source, properties={"journey": "asked"}
        )
    await theatre.stage.does("o", "concert.journey", source="concert",
                             properties={"journey": "else"})  # fmt: skip
    assert len(await theatre.runs("asked")) == 1


async def test_a_crowd_that_is_asked_for_enters_at_a_rate(theatre: Theatre) -> None:
    entry = {"type": "api", "rate": {"limit": 1, "per": "PT1H"}}
    await theatre.publish("crowd", JOURNEY | {"entry": entry})
    asked = [
        await theatre.stage.happened(
            f"{who}-in", "concert.journey", who=who, source="concert",
            properties={"journey": "crowd"},
        )
        for who in ("ada", "bob", "cyd")
    ]  # fmt: skip
    await theatre.stage.respond(*asked[:2])
    await theatre.stage.respond(asked[2])
    begun = []
    for _ in range(3):
        begun.append(len(await theatre.runs("crowd", node="rest")))
        await theatre.stage.advance(timedelta(hours=1))
        await theatre.stage.fire()
    assert begun == [1, 2, 3]
