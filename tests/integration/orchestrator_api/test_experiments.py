"""Experiments over HTTP: drafted, given their share of people, read out, ended, audited."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.experiments.assignment import Running, assign
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import configuration
from services.orchestrator.use_cases import change_experiment
from services.orchestrator.use_cases.change_experiment import look_at_experiments
from services.orchestrator.use_cases.count_experiment import count_experiment
from services.orchestrator.use_cases.keep_looking import keep_looking
from services.orchestrator.use_cases.load_ruleset import Compiler
from shared.access import Role
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import STATE, Stage
from tests.integration.orchestrator_api.conftest import make_app
from tests.integration.orchestrator_api.test_drafts import RULE, done, put
from tests.support.api import calling
from tests.support.eventually import eventually
from tests.unit.orchestrator.build import uid
from tests.unit.orchestrator.experiments.build import arms, experiment_json
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

URL = "/v1/experiments"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def nothing_published(engine: AsyncEngine) -> None:
    """Every test begins without configuration, and with nothing done."""
    kinds = ("experiment", "rule", "journey")
    tables = [table for kind in kinds for table in (kind, f"{kind}_version")]
    async with transaction(engine) as tx:
        await tx.execute(text(f"TRUNCATE {', '.join([*STATE, *tables])} CASCADE"))
        await tx.execute(text("SELECT clock.reset()"))


async def publish(client: httpx.AsyncClient, key: str, **fields: Any) -> httpx.Response:
    await done(await put(client, f"{URL}/{key}", experiment_json(**fields)))
    return await client.post(f"{URL}/{key}:publish")


async def audit(client: httpx.AsyncClient, key: str) -> list[dict[str, Any]]:
    found = await done(await client.get("/v1/audit", params={"kind": "experiment", "key": key}))
    return list(found["items"])


async def loaded(engine: AsyncEngine) -> RuleSet:
    async with transaction(engine) as tx:
        return Compiler()(await configuration.load(tx))


async def test_publishing_shares_the_people_of_a_layer_out(admin: httpx.AsyncClient) -> None:
    first = await done(await publish(admin, "first", layer="cart", traffic=60))
    assert (first["status"], first["version"]) == ("live", 1)
    running = (await done(await admin.get(f"{URL}/first")))["running"]
    assert (running["holds"], running["phase"], running["stopped"]) == (60.0, 1, [])
    refused = await publish(admin, "second", layer="cart", traffic=50)
    assert refused.status_code == 409
    assert "the layer has 40 % left" in refused.json()["detail"]
    assert "first 60 %" in refused.json()["detail"]
    checked = await admin.post(f"{URL}/second:validate")
    assert checked.status_code == 409
    assert (await done(await admin.get(f"{URL}/second")))["running"] is None
    await done(await publish(admin, "second", layer="cart", traffic=40))
    again = await done(await admin.post(f"{URL}/second:publish"))
    assert again["unchanged"] is True


async def test_of_two_that_want_the_same_people_at_once_one_is_refused(
    admin: httpx.AsyncClient,
) -> None:
    for n in range(4):
        body = experiment_json(layer="cart", traffic=60)
        await done(await put(admin, f"{URL}/e{n}", body))
    answers = await asyncio.gather(*(admin.post(f"{URL}/e{n}:publish") for n in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 409, 409, 409]


async def test_another_question_begins_a_new_phase(admin: httpx.AsyncClient) -> None:
    await done(await publish(admin, "cart"))
    await done(await publish(admin, "cart", hypothesis="It helps."))
    assert (await done(await admin.get(f"{URL}/cart")))["running"]["phase"] == 1
    await done(await publish(admin, "cart", arms=arms(control=20, push=80)))
    assert (await done(await admin.get(f"{URL}/cart")))["running"]["phase"] == 2


async def test_a_rule_names_an_experiment_and_arms_that_are_there(
    admin: httpx.AsyncClient,
) -> None:
    body = RULE | {"experiment": {"key": "cart", "arms": ["push", "male"]}}
    await done(await put(admin, "/v1/rules/pushing", body))
    missing = await admin.post("/v1/rules/pushing:publish")
    assert [one["path"] for one in missing.json()["errors"]] == ["experiment.key"]
    await done(await publish(admin, "cart"))
    wrong = await admin.post("/v1/rules/pushing:publish")
    assert [one["path"] for one in wrong.json()["errors"]] == ["experiment.arms[1]"]


async def test_stopped_concluded_archived_and_begun_anew(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await done(await publish(admin, "ended", arms=arms(control=40, push=30, mail=30)))
    for wrong in ("control", "none"):
        answer = await admin.post(f"{URL}/ended:stop", json={"arm": wrong})
        assert answer.status_code == 422
    for _ in range(2):  # doing it again changes nothing
        await done(await admin.post(f"{URL}/ended:stop", json={"arm": "mail"}))
    running = (await done(await admin.get(f"{URL}/ended")))["running"]
    assert (running["stopped"], running["over_at"]) == (["mail"], None)
    await done(await admin.post(f"{URL}/ended:stop"))
    running = (await done(await admin.get(f"{URL}/ended")))["running"]
    assert running["ended"] is True
    assert running["over_at"] is not None
    await done(await admin.post(f"{URL}/ended:conclude", json={"arm": "push"}))
    one = (await loaded(engine)).experiments.running["ended"]
    assert {assign(one, uid(f"p{n}")).arm for n in range(9)} == {"push"}
    refused = await admin.post(f"{URL}/ended:conclude", json={"arm": "mail"})
    assert refused.status_code == 409
    fresh = await done(await publish(admin, "ended", arms=arms(control=50, push=50)))
    assert fresh["version"] == 2
    running = (await done(await admin.get(f"{URL}/ended")))["running"]
    assert (running["phase"], running["winner"], running["stopped"]) == (2, None, [])
    await done(await admin.post(f"{URL}/ended:archive"))
    read = await done(await admin.get(f"{URL}/ended/read-out"))
    await Stage(engine, await loaded(engine)).advance(90 * DAY)
    assert await done(await admin.get(f"{URL}/ended/read-out")) == read  # as of when it was over
    assert "ended" not in (await loaded(engine)).experiments.running
    assert (await admin.post(f"{URL}/ended:stop")).status_code == 409
    done_so_far = [one["action"] for one in await audit(admin, "ended")]
    assert done_so_far == [
        "archive", "publish", "save", "conclude", "stop", "stop", "publish", "save",
    ]  # fmt: skip


async def test_from_publishing_to_the_winner(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await done(
        await publish(admin, "cart", sample=200, on_winner="apply", min_runtime="P7D",
                      metrics={"primary": {"key": "orders", "event": "order.placed",
                                           "window": "P7D"}})
    )  # fmt: skip
    for key, arm in (("mailing", "control"), ("pushing", "push")):
        body = RULE | {"experiment": {"key": "cart", "arms": [arm]}}
        await done(await put(admin, f"/v1/rules/{key}", body))
        await done(await admin.post(f"/v1/rules/{key}:publish"))
    stage = Stage(engine, await loaded(engine))
    one = stage.rules.experiments.running["cart"]
    event = RULE["trigger"]["event"]
    names = [f"person {n}" for n in range(300)]
    await stage.respond(*[await stage.happened(f"{n} cart", event, who=n) for n in names])
    read = await done(await admin.get(f"{URL}/cart/read-out"))
    assert sum(read["exposed"].values()) == 300
    assert (read["outcome"], read["sample_ratio"]["alarm"]) == ("running", False)
    await stage.advance(DAY)
    buyers = [
        name
        for n, name in enumerate(names)
        if n % (2 if assign(one, uid(name)).arm == "push" else 10) == 0
    ]
    await stage.respond(
        *[await stage.happened(f"{name} order", "order.placed", who=name) for name in buyers]
    )
    assert await look_at_experiments(engine) == 0
    await stage.advance(7 * DAY)
    assert await look_at_experiments(engine) == 1
    assert await look_at_experiments(engine) == 0
    read = await done(await admin.get(f"{URL}/cart/read-out"))
    effect = read["metrics"]["orders"]["effects"]["push"]
    assert effect["people"] + effect["control_people"] == 300
    assert round(effect["mean"] * effect["people"]) == len(
        [name for name in buyers if assign(one, uid(name)).arm == "push"]
    )
    assert (read["outcome"], read["winner"], read["harms"]) == ("winner", "push", [])
    assert (read["called"]["outcome"], read["called"]["arm"]) == ("winner", "push")
    (look, *_) = await audit(admin, "cart")
    assert (look["action"], look["after"]["winner"]) == ("look", "push")
    assert "push is better than control" in look["after"]["why"]
    first = (await stage.messages("decisions"))[0].value
    again = await done(await admin.post(f"/v1/decisions/{first['id']}:replay"))
    assert again["same"] is True, again  # as it was then, not as it is now
    stage.rules = await loaded(engine)
    control = next(n for n in names if assign(one, uid(n)).arm == "control")
    await stage.does("later", event, who=control)
    chosen = {one["rule"] for one in (await stage.last_decision())["candidates"] if one["passed"]}
    assert chosen == {"pushing"}
    await stage.advance(90 * DAY)  # what comes later changes nothing any more
    assert (await done(await admin.get(f"{URL}/cart/read-out")))["until"] == read["until"]


async def test_one_that_cannot_be_read_does_not_keep_the_others_from_being_looked_at(
    admin: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    async def count(tx: Any, running: Running, **more: Any) -> Any:
        looked.append(running.experiment.key)
        if running.experiment.key == "first":
            raise Infrastructure("postgres", "canceling statement due to statement timeout")
        return await count_experiment(tx, running, **more)

    for key in ("first", "second"):
        await done(await publish(admin, key))
    monkeypatch.setattr(change_experiment, "count_experiment", count)
    with pytest.raises(Infrastructure):
        await look_at_experiments(engine)
    assert looked == ["first", "second"]


async def test_an_arm_that_does_harm_is_stopped_at_a_look(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    refusals = {"key": "refusals", "event": "mail.unsubscribed", "better": "lower",
                "window": "P1D"}  # fmt: skip
    await done(
        await publish(admin, "cart", metrics={
            "primary": {"key": "orders", "event": "order.placed"}, "guardrails": [refusals]})
    )  # fmt: skip
    body = RULE | {"experiment": {"key": "cart", "arms": ["push"]}}
    await done(await put(admin, "/v1/rules/pushing", body))
    await done(await admin.post("/v1/rules/pushing:publish"))
    stage = Stage(engine, await loaded(engine))
    one, event = stage.rules.experiments.running["cart"], RULE["trigger"]["event"]
    names = [f"person {n}" for n in range(500)]
    await stage.respond(*[await stage.happened(f"{n} cart", event, who=n) for n in names])
    leaving = [name for name in names if assign(one, uid(name)).arm == "push"]
    await stage.respond(
        *[await stage.happened(f"{n} off", "mail.unsubscribed", who=n) for n in leaving[::2]]
    )
    await stage.advance(2 * DAY)
    stopping = asyncio.Event()
    looking = asyncio.create_task(keep_looking(engine, stopping))
    await eventually(
        lambda: loaded(engine),
        until=lambda rules: rules.experiments.running["cart"].stopped == {"push"},
        what="the arm is stopped",
    )
    stopping.set()
    await looking
    running = (await done(await admin.get(f"{URL}/cart")))["running"]
    assert (running["stopped"], running["ended"]) == (["push"], True)
    (look, *_) = await audit(admin, "cart")
    assert look["after"]["why"].startswith("push does harm in refusals")


async def test_what_was_called_once_is_what_is_applied_later(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    primary = {"key": "orders", "event": "order.placed"}
    asked: dict[str, Any] = {"metrics": {"primary": primary}, "sample": 200}
    await done(await publish(admin, "once", **asked))
    stage = Stage(engine, await loaded(engine))
    await seen_by(stage, "once", {"control": (100, 50), "push": (100, 50)})
    await stage.advance(15 * DAY)
    assert await look_at_experiments(engine) == 0
    called = (await done(await admin.get(f"{URL}/once")))["running"]["called"]
    assert called["outcome"] == "no_difference"
    await seen_by(stage, "once", {"control": (300, 0), "push": (300, 290)})
    await stage.advance(15 * DAY)
    assert (await done(await admin.get(f"{URL}/once/read-out")))["outcome"] == "winner"
    await done(await publish(admin, "once", **asked, on_winner="apply"))
    assert await look_at_experiments(engine) == 1
    running = (await done(await admin.get(f"{URL}/once")))["running"]
    assert (running["winner"], running["ended"], running["called"]) == (None, True, called)


async def seen_by(stage: Stage, key: str, arms: dict[str, tuple[int, int]]) -> None:
    """So many people who are exposed now, and so many of them who buy an hour later."""
    for arm, (many, buyers) in arms.items():
        await stage.rows(
            """
            WITH new AS (
                INSERT INTO exposure (profile_id, experiment, arm, phase, at, seq, of, version,
                                      kind, place, mixed)
                SELECT id, :key, :arm, 1, clock.now(), 1, id, 1, 'rule', 'r', false
                  FROM (SELECT gen_random_uuid() AS id
                          FROM generate_series(1, CAST(:many AS integer))) AS person
                RETURNING profile_id, at)
            INSERT INTO experiment_outcome (profile_id, experiment, metric, touchpoint_id, of, seq,
                                            at, value)
            SELECT profile_id, :key, 'orders', gen_random_uuid(), profile_id, 2,
                   at + interval '1 hour', 1
              FROM new LIMIT CAST(:buyers AS integer) RETURNING metric
            """,
            key=key,
            arm=arm,
            many=many,
            buyers=buyers,
        )


async def test_what_was_never_published_has_nothing_to_read(admin: httpx.AsyncClient) -> None:
    await done(await put(admin, f"{URL}/cart", experiment_json()))
    assert (await admin.get(f"{URL}/cart/read-out")).status_code == 409
    assert (await admin.get(f"{URL}/none/read-out")).status_code == 404
    assert (await done(await admin.get("/v1/holdouts/lift")))["items"] == []


async def test_what_a_holdout_brought_is_told(
    admin: httpx.AsyncClient, engine: AsyncEngine, tokens: dict[Role, str]
) -> None:
    """Scenario: the journey's lift against those who were held out of it."""
    body = document(
        mail("hi", "rest"), wait("rest", duration="P30D"), end(),
        holdout={"percent": 40, "salt": "s"}, goal={"event": "order.placed", "within": "P7D"},
    )  # fmt: skip
    await done(await put(admin, "/v1/journeys/j", body))
    await done(await admin.post("/v1/journeys/j:publish"))
    stage = Stage(engine, await loaded(engine))
    names = [f"person {n}" for n in range(40)]
    await stage.respond(*[await stage.happened(f"{n} cart", who=n) for n in names])
    rows = await stage.rows("SELECT profile_id::text FROM exposure WHERE arm = 'held_out'")
    held = {row.profile_id for row in rows}
    reached = [name for name in names if uid(name) not in held]
    await stage.advance(DAY)
    for name in reached[:6]:
        await stage.does(f"{name} order", "order.placed", who=name)
    await stage.advance(7 * DAY)
    app = make_app(engine, shiftable_clock=True, rules=lambda: stage.rules)
    async with calling(app, tokens[Role.ADMIN]) as client:
        (told,) = (await done(await client.get("/v1/holdouts/lift")))["items"]
    assert (told["layer"], told["name"], told["percent"], told["metric"]) == (
        "journey", "j", 40.0, "goal",
    )  # fmt: skip
    assert (told["held_out"], told["reached"]) == (len(held), len(reached))
    assert told["effect"]["control_mean"] == 0
    assert told["effect"]["mean"] == pytest.approx(6 / len(reached))
    assert told["added"] == pytest.approx(6)
    low, high = told["added_interval"]["low"], told["added_interval"]["high"]
    assert low < 6 < high


async def test_the_experiments_of_a_journey_are_read_out_and_concluded(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    node = {"id": "ways", "type": "experiment", "salt": "s",
            "arms": [{"key": "a", "percent": 50, "next": "hi"},
                     {"key": "b", "percent": 50, "next": "rest"}]}  # fmt: skip
    body = document(
        node, mail("hi", "rest"), wait("rest", duration="P30D"), end(),
        goal={"event": "order.placed", "within": "P7D"},
    )  # fmt: skip
    await done(await put(admin, "/v1/journeys/j", body))
    assert (await done(await admin.get("/v1/journeys/j/read-out")))["items"] == []
    await done(await admin.post("/v1/journeys/j:publish"))
    stage = Stage(engine, await loaded(engine))
    names = [f"person {n}" for n in range(20)]
    await stage.respond(*[await stage.happened(f"{n} cart", who=n) for n in names])
    (read,) = (await done(await admin.get("/v1/journeys/j/read-out")))["items"]
    assert (read["experiment"], sum(read["exposed"].values())) == ("j/ways", 20)
    assert (read["outcome"], list(read["metrics"])) == ("running", ["goal"])
    for wrong in ({"node": "hi", "arm": "a"}, {"node": "ways", "arm": "c"}):
        answer = await admin.post("/v1/journeys/j:conclude", json=wrong)
        assert answer.status_code == 422
    await done(await admin.post("/v1/journeys/j:conclude", json={"node": "ways", "arm": "b"}))
    stage.rules = await loaded(engine)
    await stage.respond(*[await stage.happened(f"other {n}", who=f"other {n}") for n in range(10)])
    went = await stage.rows(
        "SELECT word, count(*) AS n FROM run_log WHERE node = 'ways' AND kind = 'left' GROUP BY 1"
    )
    assert {row.word: row.n for row in went}["b"] == read["exposed"]["b"] + 10
    (after,) = (await done(await admin.get("/v1/journeys/j/read-out")))["items"]
    assert after["exposed"] == read["exposed"]
    await done(await admin.post("/v1/journeys/j:conclude", json={"node": "ways", "arm": None}))
    assert (await loaded(engine)).journeys.journeys["j"].winners == {}


async def test_how_many_people_an_experiment_needs(admin: httpx.AsyncClient) -> None:
    url = f"{URL}:plan"

    async def plan(**query: float) -> tuple[int, int]:
        found = await done(await admin.get(url, params=query))
        return found["in_each_arm"], found["sample"]

    assert await plan(share=0.05, hoped=0.06) == (8_158, 16_316)
    # R, help(power.prop.test): 76.7 people in each group
    assert await plan(share=0.5, hoped=0.75, power=0.9) == (77, 154)
    # two arms beside the control are each held to 2.5 %: (2.2414 + 0.8416)^2 instead of 2.8016^2
    three, both = await plan(share=0.05, hoped=0.06, arms=3)
    assert both == 3 * three
    assert three == pytest.approx(8_158 * (3.0830 / 2.8016) ** 2, rel=0.001)
    for wrong in ({"share": 0.05}, {"share": 0.05, "hoped": 0.05001}, {"share": 0, "hoped": 0.1},
                  {"share": 0.1, "hoped": 0.2, "arms": 1}):  # fmt: skip
        assert (await admin.get(url, params=wrong)).status_code == 422
