"""Experiments in the worker: who is exposed, what counts, and what is read of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.orchestrator.domain.experiments.assignment import Running, assign
from services.orchestrator.domain.journeys.compared import running_of
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import exposures, tallies, timers
from services.orchestrator.use_cases.count_experiment import count_experiment
from services.orchestrator.use_cases.read_lift import measurable, read_lift
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import email, policy, profile_json, rule, ruleset, uid
from tests.unit.orchestrator.experiments.build import running
from tests.unit.orchestrator.journeys.build import end, journey, mail, wait

DAY = timedelta(days=1)
PUSH: dict[str, Any] = {"experiment": {"key": "cart-test", "arms": ["push"]}}
MAIL: dict[str, Any] = {"experiment": {"key": "cart-test", "arms": ["control"]}}
WAYS = {
    "id": "ways",
    "type": "experiment",
    "salt": "ways",
    "arms": [
        {"key": "a", "percent": 50, "next": "a"},
        {"key": "b", "percent": 50, "next": "b"},
    ],
}
SPENT = {"key": "spent", "event": "order.placed", "kind": "sum", "property": "event.total"}


def people(one: Running, arm: str, count: int, *, why: str = "split") -> list[str]:
    """The names of people who are in an arm."""
    names = (f"person {n}" for n in range(10_000))
    found = [
        name
        for name in names
        if (assigned := assign(one, uid(name))).arm == arm and assigned.why == why
    ]
    return found[:count]


async def exposed(stage: Stage) -> dict[str, tuple[str, bool]]:
    """The arm of each exposed profile, and whether it is mixed."""
    return {
        str(row.profile_id): (row.arm, row.mixed)
        for row in await stage.rows("SELECT profile_id, arm, mixed FROM exposure")
    }


async def test_every_arm_is_exposed_and_each_gets_its_own(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("mail", **MAIL), rule("push", **PUSH), experiments=[one])
    (control,), (push,) = people(one, "control", 1), people(one, "push", 1)
    await stage.does("a", who=control)
    await stage.does("b", who=push)
    await stage.does("c", who=push)
    assert await exposed(stage) == {uid(control): ("control", False), uid(push): ("push", False)}
    sent = [(one.value["profile_id"], one.value["rule"]) for one in await
            stage.messages("actions.email")]  # fmt: skip
    assert sent == [(uid(control), "mail"), (uid(push), "push"), (uid(push), "push")]
    decision = await stage.last_decision()
    fates = {one["rule"]: (one["stage"], one["reason"]) for one in decision["candidates"]}
    assert fates == {"push": ("chosen", "chosen"), "mail": ("experiment", "other_arm")}
    assert decision["candidates"][0]["experiment"] == {
        "key": "cart-test", "version": 1, "phase": 1, "arm": "push", "why": "split",
    }  # fmt: skip
    row = (await stage.rows("SELECT * FROM exposure WHERE arm = 'push'"))[0]
    assert (row.seq, row.phase, row.version, row.kind, str(row.of)) == (1, 1, 1, "rule", uid(push))


async def test_who_takes_no_part_gets_what_the_control_gets(stage: Stage) -> None:
    one = running(traffic=50)
    stage.rules = ruleset(rule("mail", **MAIL), rule("push", **PUSH), experiments=[one])
    (outside,) = people(one, "control", 1, why="outside")
    await stage.does("a", who=outside)
    assert await exposed(stage) == {}
    (sent,) = await stage.messages("actions.email")
    assert sent.value["rule"] == "mail"


async def test_a_batch_without_experiments_writes_nothing_more(stage: Stage) -> None:
    stage.rules = ruleset(rule(), policies=[policy(holdout={"percent": 5, "salt": "half"})])
    await stage.does("a")
    assert await exposed(stage) == {}


async def test_what_counts_is_noted_once_for_who_is_exposed(stage: Stage) -> None:
    one = running(metrics={"primary": {"key": "orders", "event": "order.placed"},
                           "secondary": [SPENT]})  # fmt: skip
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    (push,) = people(one, "push", 1)
    await stage.does("early", "order.placed", who=push, properties={"total": 7})
    cart = await stage.happened("cart", who=push)
    bought = await stage.happened("bought", "order.placed", who=push, properties={"total": 12.5})
    odd = await stage.happened("odd", "order.placed", who=push, properties={"total": "much"})
    await stage.respond(cart, bought, odd)
    await stage.does("bought", "order.placed", who=push, properties={"total": 12.5})
    rows = await stage.rows(
        "SELECT metric, value, seq FROM experiment_outcome ORDER BY metric, seq"
    )
    assert [(row.metric, row.value, row.seq) for row in rows] == [
        ("orders", 1.0, 3), ("orders", 1.0, 4), ("spent", 12.5, 3),
    ]  # fmt: skip


async def test_what_was_before_is_counted_too_where_it_is_asked_for(stage: Stage) -> None:
    before = {"key": "orders", "event": "order.placed", "kind": "count", "before": "P28D"}
    one = running(metrics={"primary": before})
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    (push,), (control,) = people(one, "push", 1), people(one, "control", 1)
    for name in ("a", "b"):
        await stage.does(f"{name} before", "order.placed", who=push)
    await stage.advance(DAY)
    for who in (push, control):
        await stage.does(f"{who} cart", who=who)
    await stage.advance(DAY)
    await stage.does("bought", "order.placed", who=push)
    await stage.advance(20 * DAY)
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        found = await tallies.tallies(tx, "cart-test", 1, one.experiment.primary, now)
    assert (found["push"].n, found["push"].total, found["push"].before) == (1, 1.0, 2.0)
    assert (found["control"].n, found["control"].total, found["control"].before) == (1, 0.0, 0.0)
    assert found["push"].products == 2.0


async def test_only_what_came_after_within_the_window_counts_when_it_is_over(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    late, soon, never = people(one, "push", 3)
    for who in (late, soon, never):
        await stage.does(f"{who} cart", who=who)
    await stage.does("old", "order.placed", who=never, ago=2 * DAY)
    await stage.does("soon", "order.placed", who=soon)
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        _, read = await count_experiment(tx, one, since=now - DAY, until=now)
        assert read.verdict.outcome == "running"
        assert await tallies.tallies(tx, "cart-test", 1, one.experiment.primary, now) == {}
    await stage.advance(14 * DAY)
    await stage.does("late", "order.placed", who=late)
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        found = await tallies.tallies(tx, "cart-test", 1, one.experiment.primary, now)
    assert (found["push"].n, found["push"].total) == (3, 1.0)


async def test_a_merge_keeps_the_earlier_arm_and_leaves_out_who_was_in_two(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    controls, pushes = people(one, "control", 5), people(one, "push", 6)
    control, push = max(controls, key=uid), min(pushes, key=uid)  # the smaller id survives
    other = max(pushes, key=uid)
    await stage.does("a", who=control)
    await stage.advance(DAY)
    await stage.does("b", who=push)
    await stage.does("c", who=other)
    gone = profile_json(uid(control), status="merged", identifiers=[])
    cause = {"kind": "merged", "touchpoint": uid("login")}
    await stage.respond(
        stage.record(uid(control), cause, profile=gone, merged_into=uid(push)),
        stage.record(uid(push), cause, profile=profile_json(uid(push)), merged_from=uid(control)),
    )
    assert await exposed(stage) == {uid(push): ("control", True), uid(other): ("push", False)}
    async with transaction(stage.engine) as tx:
        found = await tallies.exposed(tx, "cart-test", 1, await timers.now(tx))
    assert found == ({"push": 1}, 1)


async def bought_in_time(stage: Stage, one: Running) -> tuple[int, float]:
    """How many people there are in the arm `push` two weeks later, and how many of them bought."""
    await stage.advance(15 * DAY)
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        found = await tallies.tallies(tx, "cart-test", 1, one.experiment.primary, now)
    return found["push"].n, found["push"].total


async def test_who_was_exposed_counts_also_after_less_people_take_part(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    (push,) = people(one, "push", 1)
    await stage.does("cart", who=push)
    stage.rules = ruleset(rule("push", **PUSH), experiments=[replace(one, traffic=())])
    await stage.does("bought", "order.placed", who=push)
    assert await bought_in_time(stage, one) == (1, 1.0)


async def test_who_was_exposed_counts_also_as_somebody_who_does_not_take_part(
    stage: Stage,
) -> None:
    one = running(traffic=50)
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    outside = min(people(one, "control", 5, why="outside"), key=uid)  # the smaller id survives
    push = max(people(one, "push", 5), key=uid)
    assert uid(outside) < uid(push)
    await stage.does("cart", who=push)
    gone = profile_json(uid(push), status="merged", identifiers=[])
    cause = {"kind": "merged", "touchpoint": uid("login")}
    await stage.respond(
        stage.record(uid(push), cause, profile=gone, merged_into=uid(outside)),
        stage.record(
            uid(outside), cause, profile=profile_json(uid(outside)), merged_from=uid(push)
        ),
    )
    await stage.does("bought", "order.placed", who=outside)
    assert await bought_in_time(stage, one) == (1, 1.0)


async def test_who_is_exposed_once_more_costs_no_write(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    (push,) = people(one, "push", 1)
    await stage.does("cart", who=push)
    before = await stage.rows("SELECT ctid, xmin, xmax FROM exposure")
    await stage.does("again", who=push)
    assert await stage.rows("SELECT ctid, xmin, xmax FROM exposure") == before


async def test_numbers_that_no_sum_can_hold_stop_nothing(stage: Stage) -> None:
    one = running(metrics={"primary": SPENT})
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    (push,) = people(one, "push", 1)
    await stage.does("cart", who=push)
    for place, total in enumerate(("12.50", 10**400, 1e300, -1e300, 1e-200, 1e-100)):
        await stage.does(f"order {place}", "order.placed", who=push, properties={"total": total})
    assert await bought_in_time(stage, one) == (1, 12.5)


@pytest.mark.parametrize("total", [1e-200, 1e-100, -1e-160])
async def test_a_number_next_to_nothing_can_be_read_out(stage: Stage, total: float) -> None:
    one = running(metrics={"primary": SPENT})
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    both = [who for arm in ("push", "control") for who in people(one, arm, 2)]
    for who in both:
        await stage.does(f"cart {who}", who=who)
    await stage.does("order", "order.placed", who=both[0], properties={"total": total})
    await stage.advance(100 * DAY)
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        _, read = await count_experiment(tx, one, since=now - 100 * DAY, until=now)
    assert read.effects["spent"]["push"].difference == 0.0


async def test_what_waits_of_an_arm_that_is_stopped_is_taken_back(stage: Stage) -> None:
    one = running()
    waiting = rule("push", **PUSH, actions=[email(delay="PT1H")])
    stage.rules = ruleset(waiting, experiments=[one])
    (push,) = people(one, "push", 1)
    await stage.does("cart", who=push)
    stage.rules = ruleset(waiting, experiments=[replace(one, stopped=frozenset({"push"}))])
    await stage.advance(timedelta(hours=1))
    await stage.fire()
    assert await stage.messages("actions.email") == []
    status, reason = (await stage.rows("SELECT status, reason FROM action"))[0]
    assert (status, reason) == ("retracted", "other_arm: arm push of experiment cart-test")


async def test_batches_of_any_size_note_the_same(stage: Stage) -> None:
    one = running()
    found = []
    for size in (1, 7, 1_000):
        await stage.empty()
        stage.seqs.clear()
        stage.rules = ruleset(rule("mail", **MAIL), rule("push", **PUSH), experiments=[one])
        records = [
            await stage.happened(f"{n}", event, who=f"person {n % 9}")
            for n in range(30)
            for event in (("Cart Updated", "order.placed")[n % 2],)
        ]
        for start in range(0, len(records), size):
            await stage.respond(*records[start : start + size])
        exposed_ = await stage.rows(
            "SELECT profile_id, arm, seq, of, version, kind, place, mixed FROM exposure ORDER BY 1"
        )
        measured = await stage.rows(
            "SELECT profile_id, metric, touchpoint_id, seq FROM experiment_outcome ORDER BY 1, 3"
        )
        found.append((exposed_, measured))
    assert found[0][0]
    assert found[0][1]
    assert found[0] == found[1] == found[2]


async def test_the_erased_and_the_old_are_forgotten(stage: Stage) -> None:
    one = running()
    stage.rules = ruleset(rule("push", **PUSH), experiments=[one])
    gone, stays = people(one, "push", 2)
    for who in (gone, stays):
        await stage.does(f"{who} cart", who=who)
        await stage.does(f"{who} order", "order.placed", who=who)
    await stage.respond(stage.record(uid(gone), {"kind": "erased"}))
    assert await exposed(stage) == {uid(stays): ("push", False)}
    assert await stage.scalar("SELECT count(*) FROM experiment_outcome") == 1
    await stage.advance(399 * DAY)
    async with transaction(stage.engine) as tx:
        assert await exposures.drop_old(tx, await timers.now(tx), 100) == 0
        await tx.execute(text("UPDATE exposure SET at = at - interval '2 days'"))
        await tx.execute(text("UPDATE experiment_outcome SET at = at - interval '2 days'"))
        assert await exposures.drop_old(tx, await timers.now(tx), 100) == 2


async def test_a_holdout_with_a_metric_is_measured_on_both_sides(stage: Stage) -> None:
    held = {"percent": 50, "salt": "half",
            "metric": {"key": "orders", "event": "order.placed"}}  # fmt: skip
    rules = ruleset(rule(category="marketing"), policies=[policy(holdout=held)])
    stage.rules = rules
    names = [f"person {n}" for n in range(20)]
    for name in names:
        await stage.does(f"{name} cart", who=name)
    rows = await stage.rows("SELECT arm, experiment, phase FROM exposure")
    assert {(row.experiment, row.phase) for row in rows} == {("universal:half", 5_000)}
    assert {row.arm for row in rows} == {"held_out", "reached"}
    await stage.does("order", "order.placed", who=names[0])
    assert await stage.scalar("SELECT count(*) FROM experiment_outcome") == 1
    await stage.advance(14 * DAY)
    (wanted,) = measurable(rules)
    async with transaction(stage.engine) as tx:
        lifted = await read_lift(tx, wanted, await timers.now(tx))
    arms = [row.arm for row in rows]
    assert (lifted.layer, lifted.name, lifted.percent) == ("universal", "half", 50)
    assert (lifted.held_out, lifted.reached) == (arms.count("held_out"), arms.count("reached"))
    assert lifted.lift.effect is not None
    means = lifted.lift.effect.control.mean, lifted.lift.effect.arm.mean
    assert max(means) == pytest.approx(1 / (lifted.held_out if means[0] else lifted.reached))


def journey_set(**fields: Any) -> tuple[RuleSet, Journey]:
    """A journey with a holdout and an experiment, and the rules that it makes."""
    found = journey(
        WAYS,
        mail("a", "rest"),
        mail("b", "rest"),
        wait("rest", duration="P30D"),
        end(),
        holdout={"percent": 20},
        goal={"event": "order.placed", "within": "P14D"},
        **fields,
    )
    live = LiveJourney([found], live=1)
    return RuleSet(epoch=1, journeys=[live]), found


async def test_nodes_and_the_holdout_of_a_journey_are_compared_by_its_goal(stage: Stage) -> None:
    stage.rules, found = journey_set()
    names = [f"person {n}" for n in range(40)]
    for name in names:
        await stage.does(f"{name} cart", who=name)
    await stage.advance(DAY)
    for name in names[:10]:
        await stage.does(f"{name} order", "order.placed", who=name)
    rows = await stage.rows("SELECT experiment, arm, kind, profile_id FROM exposure")
    arms = {(row.experiment, row.arm) for row in rows}
    assert arms == {("j/", "held_out"), ("j/", "treated"), ("j/ways", "a"), ("j/ways", "b")}
    held = {row.profile_id for row in rows if row.arm == "held_out"}
    split = {row.profile_id for row in rows if row.experiment == "j/ways"}
    assert len(held) + len(split) == 40
    assert held & split == set()
    await stage.advance(14 * DAY)
    (holdout,) = measurable(stage.rules)
    running_node = running_of(found, "ways")
    assert running_node is not None
    async with transaction(stage.engine) as tx:
        now = await timers.now(tx)
        lifted = await read_lift(tx, holdout, now)
        counted, _ = await count_experiment(tx, running_node, since=now - DAY, until=now)
    assert (lifted.held_out, lifted.reached) == (len(held), len(split))
    assert sum(counted.exposed.values()) == len(split)
    bought = {uid(name) for name in names[:10]}
    assert sum(one.total for one in counted.tallies["goal"].values()) == len(
        bought & {str(one) for one in split}
    )
