"""Scarce resources: never one too many, given back when an action does not happen, and their price;
what was learned of actions; and decisions made again from what they saw."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import propensity
from services.orchestrator.storage.saved import Kind
from services.orchestrator.use_cases.learn import Learned, find_prices
from services.orchestrator.use_cases.replay_decision import replay_decision
from services.orchestrator.use_cases.save_at_once import save_at_once
from shared import clock
from shared.errors import Conflict, NotFound
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.asking import ask, asked_rule, chosen
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import action_id, email, profile_json, rule, uid

LIMIT = 10
DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""The beginning of any day."""
CALLS = parse_resource({"limit": LIMIT, "per": "P1D"}, key="calls", version=1)
BOUGHT: list[dict[str, Any]] = [{"event": "Order Completed"}]


def call(**fields: Any) -> Rule:
    return replace(rule("call", category="marketing", **fields), costs={"calls": 3.0})


def with_calls(*rules: Rule) -> RuleSet:
    return RuleSet(epoch=1, rules=rules, resources=[CALLS])


async def used(stage: Stage) -> float:
    amount: float = await stage.scalar("SELECT coalesce(sum(used), 0) FROM resource_window")
    return amount


async def test_the_last_one_goes_to_one_of_many_who_ask_at_once(stage: Stage) -> None:
    stage.rules = with_calls(call())
    people = [f"p{n}" for n in range(12)]
    records = [await stage.happened(f"cart-{who}", who=who) for who in people]
    await asyncio.gather(*(stage.respond(*records[n::4]) for n in range(4)))
    assert await used(stage) == 9.0
    assert len(await stage.kinds()) == 3
    reasons = [one.value["candidates"][0]["reason"] for one in await stage.messages("decisions")]
    assert sorted(reasons) == ["chosen"] * 3 + ["no_capacity"] * 9


async def test_what_an_erased_person_had_reserved_is_there_again(stage: Stage) -> None:
    task = {"type": "task", "channel": "call_centre", "content": {"body": "Call"}}
    done = replace(rule("done", "Page Viewed", category="marketing"), costs={"calls": 2.0})
    stage.rules = with_calls(call(actions=[email(delay="PT1H"), task]), done)
    await stage.does("cart-p1", who="p1")
    await stage.does("cart-p2", who="p2")
    await stage.does("page-p2", "Page Viewed", who="p2")
    assert await used(stage) == 8.0
    await stage.respond(stage.record(uid("p2"), {"kind": "erased"}, profile={}))
    assert await used(stage) == 5.0, "what was sent stays used"
    left = await stage.rows("SELECT profile_id::text AS person FROM resource_use")
    assert {row.person for row in left} == {uid("p1")}


async def test_what_somebody_unknown_took_is_theirs_who_become_known(stage: Stage) -> None:
    stage.rules = with_calls(replace(asked_rule("hello", "kiosk"), costs={"calls": 3.0}))
    assert chosen(await ask(stage, who=None)) == "hello"
    assert chosen(await ask(stage, who="ada")) == "hello"
    assert await used(stage) == 3.0
    assert await stage.scalar("SELECT profile_id::text FROM resource_use") == uid("ada")


async def test_what_is_taken_back_is_there_again(stage: Stage) -> None:
    stage.rules = with_calls(call(actions=[email(delay="PT1H")], exit_criteria=BOUGHT))
    for who in ("p1", "p2", "p3"):
        await stage.does(f"cart-{who}", who=who, ago=timedelta(minutes=1))
    assert await used(stage) == 9.0
    await stage.does("cart-p4", who="p4")
    assert (await stage.last_decision())["candidates"][0]["reason"] == "no_capacity"
    await stage.does("sold", "Order Completed", who="p1")
    assert await used(stage) == 6.0
    await stage.does("again-p4", who="p4")
    assert await used(stage) == 9.0
    assert await stage.scalar("SELECT count(*) FROM resource_use") == 3


async def test_in_one_batch_it_is_the_same(stage: Stage) -> None:
    stage.rules = with_calls(call(actions=[email(delay="PT1H")], exit_criteria=BOUGHT))
    minute = timedelta(minutes=1)
    await stage.respond(
        *[await stage.happened(f"cart-{who}", who=who, ago=minute) for who in ("p1", "p2", "p3")],
        await stage.happened("sold", "Order Completed", who="p1"),
        await stage.happened("cart-p4", who="p4"),
    )
    assert await used(stage) == 9.0
    owners = await stage.rows("SELECT profile_id::text FROM resource_use")
    assert {row.profile_id for row in owners} == {uid(who) for who in ("p2", "p3", "p4")}


async def test_the_price_rises_while_too_much_is_used_and_decisions_follow(stage: Stage) -> None:
    await stage.advance(timedelta(days=1.5) - (clock.now() - DAY) % timedelta(days=1))  # noon
    stage.rules = with_calls(call(score={"value": 0.01}))
    assert (await find_prices(stage.engine, stage.rules))["calls"].price == 0.0
    await stage.does("cart-p1", who="p1")
    await stage.advance(timedelta(minutes=5))
    found = await find_prices(stage.engine, stage.rules)
    assert found["calls"].price > 0.0
    assert await find_prices(stage.engine, stage.rules) == {}
    plain = stage.rules
    learned = Learned(stage.engine, lambda: plain)
    await learned.refresh()
    stage.rules = learned()
    await stage.does("cart-p2", who="p2")
    (candidate,) = (await stage.last_decision())["candidates"]
    assert (candidate["stage"], candidate["reason"]) == ("floor", "below_price")
    assert candidate["score"]["costs"] == [
        {"resource": "calls", "amount": 3.0, "price": found["calls"].price}
    ]


async def test_actions_that_are_not_over_are_not_looked_at(stage: Stage) -> None:
    async with transaction(stage.engine) as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        explain = text(f"EXPLAIN {propensity.MATURE}")
        rows = await tx.execute(explain, {"since": propensity.EVER, "limit": 10})
        plan = [str(row[0]).strip() for row in rows]
    condition = plan[next(n for n, line in enumerate(plan) if "action_to_count" in line) + 1]
    assert condition.startswith("Index Cond:")
    assert "expires_at <=" in condition


async def test_actions_are_counted_once_as_a_no_and_then_perhaps_as_a_yes(stage: Stage) -> None:
    stage.rules = RuleSet(epoch=1, rules=[rule(score={"propensity": 0.5, "value": 1})])
    vip = profile_json(uid("ada"), persona={"key": "vip"})
    await stage.does("one", profile=vip)
    await stage.does("two", profile=vip)
    one = action_id("r", "one")

    async def counted(*rows: propensity.Judged) -> tuple[int, int]:
        async with transaction(stage.engine) as tx:
            await propensity.count(tx, rows)
        found = await stage.rows("SELECT shown, taken FROM propensity WHERE persona = 'vip'")
        return (found[0].shown, found[0].taken) if found else (0, 0)

    async def matured() -> None:
        async with transaction(stage.engine) as tx:
            await propensity.mature(tx, since=propensity.EVER, limit=100)

    await matured()
    assert await counted() == (0, 0)
    assert await counted(propensity.Judged(one, taken=False)) == (1, 0)
    assert await counted(propensity.Judged(one, taken=False)) == (1, 0)
    assert await counted(propensity.Judged(one, taken=True)) == (1, 1)
    assert await counted(propensity.Judged(one, taken=False)) == (1, 1)
    await stage.advance(timedelta(days=2))
    await matured()
    await matured()
    assert await counted() == (2, 1)
    plain = stage.rules
    learned = Learned(stage.engine, lambda: plain)
    await learned.refresh()
    assert learned().estimates.totals == {"r": (2, 1)}
    assert learned() is learned()
    assert learned().estimates.propensity("r", "email", "vip", 0.5).source == "learned"


@pytest.fixture
async def configured(stage: Stage) -> Stage:
    """One rule, as it stands in the database too."""
    body = {"trigger": {"type": "event", "event": "Cart Updated"}, "category": "service",
            "score": {"costs": {"calls": 1}}, "actions": [email()]}  # fmt: skip
    await stage.scalar("DELETE FROM rule_version RETURNING 1")
    await save_at_once(
        stage.engine, Kind.RESOURCE, "calls", {"limit": 10, "per": "P1D"},
        may_replace=lambda _: None, who=Who("test", "127.0.0.1"),
    )  # fmt: skip
    await publish(stage, body)
    version = await stage.scalar("SELECT max(version) FROM resource_version")
    calls = replace(CALLS, version=version)
    stage.rules = RuleSet(epoch=1, rules=[parse_rule(body, key="r", version=1)], resources=[calls])
    return stage


async def publish(stage: Stage, body: dict[str, Any]) -> None:
    await stage.scalar(
        """
        INSERT INTO rule (key, draft, draft_version, status, created_at, updated_at, updated_by)
        VALUES ('r', CAST(:body AS jsonb), 1, 'draft', now(), now(), 'test')
        ON CONFLICT DO NOTHING RETURNING 1
        """,
        body=json.dumps(body),
    )
    await stage.scalar(
        """
        INSERT INTO rule_version (key, version, body, published_at, published_by)
        VALUES ('r', 1, CAST(:body AS jsonb), now(), 'test') RETURNING 1
        """,
        body=json.dumps(body),
    )


async def test_a_decision_is_made_again_from_the_database(configured: Stage) -> None:
    stage = configured
    await stage.does("cart")
    decision = UUID((await stage.last_decision())["id"])
    async with transaction(stage.engine) as tx:
        found = await replay_decision(tx, decision)
    assert (found.same, found.differences) == (True, [])
    size = await stage.scalar("SELECT length(body) FROM replay_input")
    print(f"what a decision saw: {size} bytes")
    assert size < 2_000
    await stage.scalar(
        "UPDATE decision SET body = convert_to(replace(convert_from(body, 'UTF8'),"
        ' \'"outcome":"sent"\', \'"outcome":"none"\'), \'UTF8\') RETURNING 1'
    )
    async with transaction(stage.engine) as tx:
        found = await replay_decision(tx, decision)
    assert not found.same
    (one,) = found.differences
    assert (one.path, one.recorded, one.replayed) == ("outcome", "none", "sent")


async def test_what_chose_between_nothing_cannot_be_made_again(stage: Stage) -> None:
    stage.rules = with_calls(call(actions=[email(delay="PT1H")], exit_criteria=BOUGHT))
    await stage.does("cart", ago=timedelta(minutes=1))
    await stage.does("sold", "Order Completed")
    decision = UUID((await stage.last_decision())["id"])
    async with transaction(stage.engine) as tx:
        with pytest.raises(Conflict, match=r"GET /v1/decisions/.* can be made again"):
            await replay_decision(tx, decision)
        with pytest.raises(NotFound):
            await replay_decision(tx, UUID(int=1))


async def test_an_erased_person_leaves_nothing_of_it(stage: Stage) -> None:
    stage.rules = with_calls(call())
    await stage.does("cart")
    assert await stage.scalar("SELECT count(*) FROM replay_input") == 1
    await stage.respond(stage.record(uid("ada"), {"kind": "erased", "id": uid("x")}))
    for table in ("replay_input", "resource_use"):
        assert await stage.scalar(f"SELECT count(*) FROM {table}") == 0
