"""Runs of journeys through the handler and the timers, on a real database."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.facts import Fact, Moved, Person, Skipped, Stopped
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import run_sweeps
from services.orchestrator.use_cases import sweep_runs as sweeping
from services.orchestrator.use_cases.operate_run import operate_run
from services.orchestrator.use_cases.respond import Responder
from services.orchestrator.use_cases.sweep_runs import sweep_runs
from shared.contracts.topics import Topics
from shared.errors import Conflict, Infrastructure
from shared.postgres import outbox
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.integration.orchestrator.test_part import LOSER, WINNER, merge_of, undo_of
from tests.support.eventually import eventually
from tests.unit.orchestrator.build import policy, profile_json, rule, uid
from tests.unit.orchestrator.journeys.build import document, end, journey, mail, wait

DAY = timedelta(days=1)
WHO = Who("1", "ops")
TASK = {
    "id": "call", "type": "task", "channel": "call_centre", "queue": "sales",
    "content": {"body": "Call"}, "next": "end",
}  # fmt: skip


def live(*nodes: dict[str, Any], paused: bool = False, **fields: Any) -> LiveJourney:
    return LiveJourney([journey(*nodes, **fields)], live=1, paused=paused)


def in_force(*journeys: LiveJourney, **fields: Any) -> RuleSet:
    return RuleSet(epoch=1, journeys=journeys, **fields)


async def run_of(stage: Stage, who: str = "ada") -> Mapping[str, Any]:
    """The one run of a person, as it is stored."""
    (row,) = await stage.rows(
        "SELECT id, node, status, reason, watching, wakes_at, gen, version, profile_id::text "
        "FROM journey_run WHERE profile_id = :id",
        id=uid(who),
    )
    return dict(row._mapping)


async def log_of(stage: Stage) -> list[str]:
    rows = await stage.rows("SELECT kind, node, word FROM run_log ORDER BY n")
    return [" ".join(part for part in (row.kind, row.node, row.word) if part) for row in rows]


async def timers_of(stage: Stage, kind: str = "run") -> int:
    found: int = await stage.scalar("SELECT count(*) FROM timer WHERE kind = :kind", kind=kind)
    return found


async def test_a_person_walks_through_a_journey(stage: Stage) -> None:
    stage.rules = in_force(
        live(
            mail("hello", "rest"),
            wait("rest", "more", duration="P2D"),
            mail("more"),
            end(),
        )
    )
    await stage.does("t1")
    run = await run_of(stage)
    assert (run["node"], run["status"], run["watching"]) == ("rest", "waiting", True)
    sent = [one.value for one in await stage.messages("actions.email")]
    assert [(one["journey"], one["node"], one["run"]) for one in sent] == [
        ("j", "hello", str(run["id"]))
    ]
    assert await stage.scalar("SELECT in_flight FROM profile_state") >= 1
    assert await timers_of(stage) == 1
    assert await stage.fire() == 0
    await stage.advance(2 * DAY)
    await stage.fire()
    assert [one.value["node"] for one in await stage.messages("actions.email")] == ["hello", "more"]
    run = await run_of(stage)
    assert (run["status"], run["reason"], run["watching"]) == ("completed", "completed", False)
    decision = await stage.last_decision()
    assert [(one["rule"], one["reason"]) for one in decision["candidates"]] == [
        ("j/more", "chosen")
    ]
    assert (await log_of(stage))[:4] == ["entered", "arrived hello", "answered hello sent",
                                         "left hello next"]  # fmt: skip
    counts = {
        (row.node, row.kind, row.word): row.n
        for row in await stage.rows("SELECT node, kind, word, n FROM journey_count")
    }
    assert counts[("hello", "answered", "sent")] == 1
    assert counts[("", "ended", "completed")] == 1


async def test_the_same_updates_again_change_nothing(stage: Stage) -> None:
    stage.rules = in_force(live(mail("hello", "rest"), wait("rest", duration="P2D"), end()))
    first = await stage.happened("t1")
    with pytest.raises(ZeroDivisionError):
        await stage.respond(first, then=ZeroDivisionError())
    await stage.respond(first)
    await stage.respond(first)
    assert await stage.kinds() == ["send"]
    assert await stage.scalar("SELECT count(*) FROM journey_run") == 1


async def test_an_exit_on_the_first_day_ends_a_wait_of_thirty_and_takes_back_the_task(
    stage: Stage,
) -> None:
    """Complaint: the user is still in the journey long after the reason is gone."""
    stage.rules = in_force(
        live(
            TASK | {"next": "rest", "outcomes": {"declined": "end"}},
            wait("rest", duration="P30D"),
            end(),
            exit_criteria=[{"event": "Order Completed"}],
        )
    )
    await stage.does("t1")
    assert await stage.kinds("call_centre") == ["task"]
    await stage.advance(timedelta(hours=1))
    await stage.does("t2", "Order Completed", channel="pos")
    run = await run_of(stage)
    assert (run["status"], run["reason"]) == ("exited", "exit: Order Completed on pos")
    assert await stage.kinds("call_centre") == ["task", "retract"]
    decision = await stage.last_decision()
    assert [one["reason"] for one in decision["retracts"]] == ["exit: Order Completed on pos"]
    await stage.advance(60 * DAY)
    await stage.fire()
    assert (await run_of(stage))["status"] == "exited"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_what_is_waited_for_wins_against_a_late_timer(stage: Stage) -> None:
    """Complaint: the event arrived in time, and the time-out branch was taken."""
    stage.rules = in_force(
        live(
            wait("until", "mail", until={"event": "email.clicked"}, timeout="P3D",
                 timeout_next="end"),
            mail("mail"),
            end(),
        )
    )  # fmt: skip
    await stage.does("t1")
    await stage.advance(4 * DAY)
    await stage.does("t2", "email.clicked")
    await stage.fire()
    await stage.fire()
    assert await stage.kinds() == ["send"]
    assert (await run_of(stage))["reason"] == "completed"


async def test_an_answer_of_the_channel_is_told_to_the_run(stage: Stage) -> None:
    stage.rules = in_force(
        live(
            TASK | {"outcomes": {"accepted": "yes"}},
            end("yes", "yes"),
            end(),
        )
    )
    await stage.does("t1")
    (task,) = await stage.messages("actions.call_centre")
    assert (await run_of(stage))["node"] == "call"
    await stage.does(
        "t2", "call_centre.accepted",
        properties={"action_id": task.value["action_id"], "outcome": "accepted"},
    )  # fmt: skip
    assert (await run_of(stage))["reason"] == "yes"


async def test_what_the_policy_forbids_is_answered_to_the_run(stage: Stage) -> None:
    stage.rules = in_force(
        live(
            mail("one", "two"),
            mail("two", "end", outcomes={"capped": "later"}),
            wait("later", "end", duration="P1D"),
            end(),
        ),
        policies=[policy({"scope": {"channel": "email"}, "limit": 1, "window": "P1D"})],
    )
    await stage.does("t1")
    assert await stage.kinds() == ["send"]
    assert (await run_of(stage))["node"] == "later"
    assert "answered two capped" in await log_of(stage)


async def test_journeys_and_rules_are_judged_together(stage: Stage) -> None:
    stage.rules = in_force(
        live(mail("one"), end(), category="marketing", score={"value": 5}),
        rules=[rule("other", "Cart Updated", category="marketing", score={"value": 3})],
    )
    await stage.does("t1")
    decision = await stage.last_decision()
    assert [(one["rule"], one["reason"]) for one in decision["candidates"]] == [
        ("j/one", "chosen"), ("other", "lower_priority"),
    ]  # fmt: skip
    assert await stage.kinds() == ["send"]


async def test_a_run_may_say_traits_and_send_on_to_another_journey(stage: Stage) -> None:
    first = live(
        {"id": "know", "type": "update_profile", "set": {"onboarded": True}, "next": "tell"},
        {"id": "tell", "type": "emit_event", "event": "Onboarded", "next": "on"},
        {"id": "on", "type": "enter_journey", "journey": "k", "next": "end"},
        end(),
    )
    from services.orchestrator.domain.journeys.document import parse_journey

    second = parse_journey(
        document(wait("rest", duration="P1D"), end(), entry={"type": "api"}), key="k", version=1
    )
    stage.rules = in_force(first, LiveJourney([second], live=1))
    await stage.does("t1")
    said = [one.value for one in await stage.messages() if "concert" in one.topic]
    assert [(one["type"], one.get("traits"), one["context"]) for one in said] == [
        ("concert.traits", {"onboarded": True}, {"hops": 1}),
        ("Onboarded", None, {"hops": 1}),
    ]
    rows = await stage.rows("SELECT journey, node, status FROM journey_run ORDER BY journey")
    assert [tuple(row) for row in rows] == [("j", "end", "completed"), ("k", "rest", "waiting")]


async def test_a_throttle_spaces_people_evenly(stage: Stage) -> None:
    stage.rules = in_force(
        live(
            {"id": "gate", "type": "throttle", "limit": 1, "per": "PT1H", "next": "mail"},
            mail("mail"),
            end(),
        )
    )
    people = ["ada", "bob", "cy", "dee"]
    await stage.respond(*[await stage.happened(f"t-{who}", who=who) for who in people])
    assert len(await stage.kinds()) == 1
    for expected in (2, 3, 4):
        await stage.advance(timedelta(hours=1))
        await stage.fire()
        assert len(await stage.kinds()) == expected


async def test_one_run_of_two_people_who_are_one_goes_on(stage: Stage) -> None:
    """Scenario: two profiles in one journey are merged, then the merge is undone."""
    stage.rules = in_force(
        live(mail("hello", "rest"), wait("rest", "more", duration="P2D"), mail("more"), end(),
             re_entry={"mode": "after_exit"}),
    )  # fmt: skip
    loser, winner = "visitor", "ada"
    await stage.does("t1", who=loser, profile=profile_json(LOSER))
    await stage.does("t2", who=winner, profile=profile_json(WINNER))
    for message in merge_of(stage):
        await stage.respond(message)
    rows = await stage.rows("SELECT status, reason, profile_id::text FROM journey_run ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        ("exited", "merged", WINNER), ("waiting", None, WINNER),
    ]  # fmt: skip
    await stage.advance(2 * DAY)
    await stage.fire()
    assert await stage.kinds() == ["send", "send", "retract", "send"]
    for message in undo_of(stage):
        await stage.respond(message)
    await stage.fire()
    rows = await stage.rows("SELECT status, reason, profile_id::text FROM journey_run ORDER BY 3")
    assert {tuple(row) for row in rows} == {
        ("completed", "completed", LOSER), ("completed", "completed", WINNER),
    }  # fmt: skip
    assert await stage.kinds() == ["send", "send", "retract", "send", "send"]


async def test_a_task_that_was_withdrawn_with_its_run_is_there_again_when_the_run_comes_back(
    stage: Stage,
) -> None:
    stage.rules = in_force(
        live(TASK | {"outcomes": {"accepted": "yes"}}, end("yes", "yes"), end(),
             re_entry={"mode": "after_exit"})
    )  # fmt: skip
    await stage.does("t1", who="ada", profile=profile_json(WINNER))
    await stage.does("t2", who="visitor", profile=profile_json(LOSER))
    for message in merge_of(stage):
        await stage.respond(message)
    assert await stage.kinds("call_centre") == ["task", "task", "retract"]
    for message in undo_of(stage):
        await stage.respond(message)
    tasks = {
        row.profile_id: row.action_id
        for row in await stage.rows(
            "SELECT action_id::text, profile_id::text FROM task WHERE status = 'open'"
        )
    }
    assert await stage.kinds("call_centre") == ["task", "task", "retract", "task"]
    for who, whose in (("ada", WINNER), ("visitor", LOSER)):
        await stage.does(
            f"{who}-said", "call_centre.accepted", who=who, profile=profile_json(whose),
            properties={"action_id": tasks[whose], "outcome": "accepted"},
        )  # fmt: skip
    rows = await stage.rows("SELECT reason, profile_id::text FROM journey_run")
    assert {tuple(row) for row in rows} == {("yes", WINNER), ("yes", LOSER)}


async def test_a_message_that_a_channel_has_is_not_said_again_when_the_run_comes_back(
    stage: Stage,
) -> None:
    stage.rules = in_force(
        live(mail("hello", outcomes={"clicked": "yes"}), end("yes", "yes"), end(),
             re_entry={"mode": "after_exit"})
    )  # fmt: skip
    await stage.does("t1", who="ada", profile=profile_json(WINNER))
    await stage.does("t2", who="visitor", profile=profile_json(LOSER))
    for message in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(message)
    assert await stage.kinds() == ["send", "send", "retract"]
    rows = await stage.rows("SELECT node, occurrence FROM journey_run WHERE ended_at IS NULL")
    assert [tuple(row) for row in rows] == [("hello", 1)] * 2


async def test_an_operator_moves_skips_and_stops(stage: Stage) -> None:
    stage.rules = in_force(
        live(wait("rest", "mail", duration="P9D"), mail("mail", "long"),
             wait("long", duration="P9D"), end())
    )  # fmt: skip
    await stage.does("t1")
    run = await run_of(stage)

    async def operate(action: str, fact_of: Any) -> Run:
        return await operate_run(
            stage.engine, run["id"], fact_of, action=action, ruleset=stage.rules,
            topics=Topics(), counts=COUNTS, who=WHO,
        )  # fmt: skip

    def skipped(before: Run, person: Person) -> Fact:
        return Skipped(before.occurrence, person)

    def back(before: Run, person: Person) -> Fact:
        return Moved(before.occurrence, "rest", person)

    assert (await operate("skip", skipped)).node == "long"
    assert await stage.kinds() == ["send"]
    assert (await operate("move", back)).node == "rest"
    assert (await operate("stop", lambda before, person: Stopped("by hand"))).reason == "by hand"
    with pytest.raises(Conflict):
        await operate("skip", skipped)
    assert await stage.scalar("SELECT count(*) FROM audit_log WHERE kind = 'run'") == 3


async def sweep(stage: Stage) -> int:
    return await sweep_runs(
        stage.engine, ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS, limit=2
    )


async def test_a_pause_holds_and_its_end_lets_go_at_a_rate(stage: Stage) -> None:
    nodes = (wait("rest", "mail", duration="P1D"), mail("mail"), end())
    stage.rules = in_force(live(*nodes))
    people = ["ada", "bob", "cy"]
    await stage.respond(*[await stage.happened(f"t-{who}", who=who) for who in people])
    stage.rules = in_force(live(*nodes, paused=True))
    await stage.advance(DAY)
    assert await stage.fire() == 3
    assert await stage.kinds() == []
    stage.rules = in_force(live(*nodes))
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "resumed", timedelta(minutes=10))
    assert [await sweep(stage) for _ in range(3)] == [2, 1, 0]
    await stage.fire()
    assert len(await stage.kinds()) == 1
    await stage.advance(timedelta(minutes=10))
    await stage.fire()
    assert len(await stage.kinds()) == 2
    await stage.advance(timedelta(minutes=10))
    await stage.fire()
    assert len(await stage.kinds()) == 3


async def test_a_sweep_that_ends_before_its_commit_tells_nobody_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.rules = in_force(live(wait("rest", duration="P9D"), end()))
    people = ["ada", "bob", "cy"]
    await stage.respond(*[await stage.happened(f"t-{who}", who=who) for who in people])
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "stopped")

    def die(point: str) -> None:
        raise KeyboardInterrupt(point)

    with monkeypatch.context() as dying:
        dying.setattr(sweeping, "crash_point", die)
        with pytest.raises(KeyboardInterrupt, match=sweeping.CRASH_POINTS[0]):
            await sweep(stage)
    assert await stage.scalar("SELECT count(*) FROM journey_run WHERE status = 'exited'") == 0
    assert [await sweep(stage) for _ in range(3)] == [2, 1, 0]
    assert (await log_of(stage)).count("ended rest archived") == 3


async def test_a_run_that_is_merged_while_all_are_told_is_told_too(stage: Stage) -> None:
    stage.rules = in_force(live(wait("rest", duration="P9D"), end()))
    await stage.does("t1", who="visitor", profile=profile_json(LOSER))
    await stage.does("t2", "Page Viewed", profile=profile_json(WINNER))
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "stopped")
    merged, _ = merge_of(stage)
    async with transaction(stage.engine) as tx:
        handled = await Responder(ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS)(
            [merged], tx
        )
        await outbox.append(tx, handled.messages)
        telling = asyncio.create_task(sweep(stage))
        await eventually(lambda: somebody_waits(stage))
    told = await telling
    while more := await sweep(stage):
        told += more
    assert told == 1
    assert "ended rest archived" in await log_of(stage)


async def somebody_waits(stage: Stage) -> bool:
    """Whether a transaction waits for another one's lock."""
    waiting: int = await stage.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return waiting > 0


async def test_a_run_of_a_version_that_is_not_loaded_yet_waits_for_it(stage: Stage) -> None:
    nodes = (wait("rest", "mail", duration="P1D"), mail("mail"), end())
    stage.rules = in_force(live(*nodes))
    await stage.does("t1")
    loaded, stage.rules = stage.rules, in_force()
    await stage.advance(DAY)
    with pytest.raises(Infrastructure):
        await stage.fire()
    stage.rules = loaded
    await stage.fire()
    assert await stage.kinds() == ["send"]


def gate(id_: str, next_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "throttle", "limit": 1, "per": "PT1H", "next": next_, **fields}


async def test_two_turns_at_one_instant_are_two_decisions(stage: Stage) -> None:
    """In the batch of the worker, and in the round of a timer."""
    nodes = (gate("one", "hello"), mail("hello", "two"), gate("two", "more"), mail("more"), end())
    stage.rules = in_force(live(*nodes))
    await stage.does("t1", who="ada")
    assert await stage.kinds() == ["send", "send"]
    stage.rules = in_force(live(wait("rest", "one", duration="P1D"), *nodes))
    await stage.does("t2", who="bob")
    await stage.advance(DAY)
    await stage.fire()
    assert await stage.kinds() == ["send"] * 4


async def skip(stage: Stage, run_id: Any) -> Run:
    def skipped(before: Run, person: Person) -> Fact:
        return Skipped(before.occurrence, person)

    return await operate_run(
        stage.engine, run_id, skipped, action="skip", ruleset=stage.rules,
        topics=Topics(), counts=COUNTS, who=WHO,
    )  # fmt: skip


async def test_nobody_is_sent_twice_where_one_enters_once(stage: Stage) -> None:
    """By an operator, nor by what all runs are told: a journey that one was in counts also when it
    is over."""
    once = document(
        mail("hi"), end(), entry={"type": "event", "event": "B"}, re_entry={"mode": "never"}
    )
    lead = {"id": "lead", "type": "enter_journey", "journey": "b", "next": "end"}
    nodes = (wait("rest", "lead", duration="P9D"), lead, end())
    other = LiveJourney([parse_journey(once, key="b", version=1)], live=1)
    stage.rules = in_force(live(*nodes), other)
    for who in ("ada", "bob"):
        await stage.does(f"b-{who}", "B", who=who)
        await stage.does(f"t-{who}", who=who)
    by_hand = await stage.scalar(
        "SELECT id FROM journey_run WHERE journey = 'j' AND profile_id = :who", who=uid("ada")
    )
    await skip(stage, by_hand)
    stage.rules = in_force(live(*nodes, paused=True), other)
    await stage.advance(9 * DAY)
    await stage.fire()
    stage.rules = in_force(live(*nodes), other)
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "resumed")
    await sweep(stage)
    assert await stage.scalar("SELECT count(*) FROM run_log WHERE kind = 'left'") == 6
    assert await stage.scalar("SELECT count(*) FROM journey_run WHERE journey = 'b'") == 2


async def test_who_does_not_wait_takes_no_place_in_the_line(stage: Stage) -> None:
    """More come than may pass, again and again: as many pass as may."""
    short = gate("gate", "mail", max_wait="PT2H")
    stage.rules = in_force(live(short, mail("mail"), end()))
    for hour in range(6):
        come = [await stage.happened(f"t{hour}-{n}", who=f"p{hour}-{n}") for n in range(4)]
        await stage.respond(*come)
        await stage.fire()
        assert len(await stage.kinds()) == hour + 1
        await stage.advance(timedelta(hours=1))


async def test_an_action_that_waited_and_must_not_be_is_told_to_its_run(stage: Stage) -> None:
    """The run stands there for an answer: without this one it would until its time is over."""
    outcomes = {"clicked": "end", "undeliverable": "rest"}
    stage.rules = in_force(
        live(mail("hello", delay="PT1H", outcomes=outcomes), wait("rest", duration="P9D"), end())
    )
    await stage.does("t1")
    assert (await run_of(stage))["node"] == "hello"
    gone = profile_json(uid("ada"), identifiers=[], identifiers_total=0)
    await stage.does("t2", "Page Viewed", profile=gone)
    await stage.advance(timedelta(hours=1))
    assert await stage.fire() == 1
    assert await stage.kinds() == []
    assert (await run_of(stage))["node"] == "rest"
    assert "answered hello undeliverable" in await log_of(stage)


async def test_who_stood_aside_when_their_turn_came_enters_when_they_come_back(
    stage: Stage,
) -> None:
    entry = {"type": "api", "rate": {"limit": 1, "per": "PT1H"}}
    stage.rules = in_force(
        live(wait("rest", duration="P9D"), end(), entry=entry, re_entry={"mode": "after_exit"})
    )
    for who, snapshot in (("ada", WINNER), ("visitor", LOSER)):
        await stage.does(
            f"{who}-in", "concert.journey", who=who, profile=profile_json(snapshot),
            source="concert", properties={"journey": "j"},
        )  # fmt: skip
    for message in merge_of(stage):
        await stage.respond(message)
    await stage.advance(timedelta(hours=2))
    await stage.fire()
    for message in undo_of(stage):
        await stage.respond(message)
    rows = await stage.rows("SELECT node, status, paused FROM journey_run")
    assert {tuple(row) for row in rows} == {("rest", "waiting", False)}
