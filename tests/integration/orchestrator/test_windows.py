"""An arbitration window: candidates of several touchpoints wait for each other, then compete."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from services.orchestrator.domain.rule import Rule
from tests.integration.orchestrator.asking import ask, asked_rule, chosen
from tests.integration.orchestrator.stage import Stage
from tests.integration.orchestrator.test_absorb import merge
from tests.integration.orchestrator.test_part import merge_of, undo_of
from tests.unit.orchestrator.build import action_id, policy, profile_json, rule, ruleset, uid

FIVE = timedelta(seconds=5)
WINDOW = policy(arbitration={"window": "PT5S"})
BOUGHT: list[dict[str, Any]] = [{"event": "Order Completed"}]
GOLD = {"attr": "profile.tier", "op": "eq", "value": "gold"}


def valued(key: str, event: str, value: float, **fields: Any) -> Rule:
    return rule(key, event, category="marketing", score={"value": value}, **fields)


THREE = (valued("a", "A", 1), valued("b", "B", 3), valued("c", "C", 2))


async def three_happen(stage: Stage) -> None:
    for event in "ABC":
        await stage.does(event, event)


async def held(stage: Stage) -> int:
    count: int = await stage.scalar("SELECT count(*) FROM held_candidate")
    return count


async def test_three_touchpoints_in_five_seconds_are_one_decision(stage: Stage) -> None:
    stage.rules = ruleset(*THREE, policies=[WINDOW])
    await three_happen(stage)
    assert await stage.kinds() == []
    waiting = await stage.last_decision()
    assert waiting["outcome"] == "deferred"
    assert [(one["stage"], one["reason"]) for one in waiting["candidates"]] == [
        ("arbitration", "held")
    ]
    assert waiting["sentence"].startswith("c waits: until ")
    assert await stage.scalar("SELECT count(*) FROM timer WHERE kind = 'arbitrate'") == 1
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 3
    assert await stage.fire() == 0
    await stage.advance(FIVE)
    assert await stage.fire() == 1
    assert await stage.kinds() == ["send"]
    decision = await stage.last_decision()
    assert decision["outcome"] == "sent"
    assert decision["action_ids"] == [str(action_id("b", "B"))]
    assert [
        (one["rule"], one["reason"], one["touchpoint_id"], one["score"]["total"])
        for one in decision["candidates"]
    ] == [
        ("b", "chosen", uid("B"), 3.0),
        ("c", "lower_priority", uid("C"), 2.0),
        ("a", "lower_priority", uid("A"), 1.0),
    ]
    assert await held(stage) == 0
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_the_same_whatever_the_batches(stage: Stage) -> None:
    found = []
    for together in (False, True):
        await stage.empty()
        stage.seqs.clear()
        stage.rules = ruleset(*THREE, policies=[WINDOW])
        records = [await stage.happened(event, event) for event in "ABC"]
        for batch in [records] if together else [[one] for one in records]:
            await stage.respond(*batch)
        await stage.advance(FIVE)
        await stage.fire()
        found.append(
            [(one["rule"], one["reason"]) for one in (await stage.last_decision())["candidates"]]
        )
    assert found[0] == found[1]


async def test_a_rule_has_its_own_window_and_service_that_bypasses_does_not_wait(
    stage: Stage,
) -> None:
    free = policy(arbitration={"window": "PT1H"}, bypass={"categories": ["service"]})
    quick = replace(valued("q", "A", 1), window=timedelta(0))
    soon = replace(valued("s", "B", 1), window=timedelta(seconds=1))
    stage.rules = ruleset(quick, soon, rule("service", "C"), valued("d", "D", 9), policies=[free])
    await stage.does("A", "A")
    await stage.does("C", "C")
    assert await stage.kinds() == ["send", "send"]
    await stage.does("D", "D")
    await stage.does("B", "B")
    await stage.advance(timedelta(seconds=1))
    await stage.fire()
    assert (await stage.last_decision())["action_ids"] == [str(action_id("d", "D"))]
    await stage.advance(timedelta(hours=1))
    assert await stage.fire() == 1
    assert len(await stage.kinds()) == 3


async def test_the_gates_are_asked_at_the_end_of_the_person_as_known_then(stage: Stage) -> None:
    one = valued("a", "A", 1, engagement_policy={"eligibility": GOLD})
    stage.rules = ruleset(one, policies=[WINDOW])
    gold = profile_json(uid("ada"), traits={"tier": "gold"})
    await stage.does("A", "A", profile=gold)
    await stage.respond(stage.record(uid("ada"), {"kind": "trait_changed"}))
    await stage.advance(FIVE)
    await stage.fire()
    (candidate,) = (await stage.last_decision())["candidates"]
    assert candidate["stage"] == "eligibility"


async def test_what_ends_the_reason_removes_it_at_once(stage: Stage) -> None:
    stage.rules = ruleset(
        valued("a", "A", 2, exit_criteria=BOUGHT), valued("b", "A", 1), policies=[WINDOW]
    )
    await stage.does("A", "A", ago=timedelta(minutes=1))
    await stage.does("sold", "Order Completed", channel="pos")
    (gone,) = (await stage.last_decision())["retracts"]
    assert gone == {
        "action_id": str(action_id("a", "A")), "reason": "exit: Order Completed on pos",
    }  # fmt: skip
    (row,) = await stage.rows("SELECT rules FROM held_candidate")
    assert list(row.rules) == ["b"]
    await stage.advance(FIVE)
    await stage.fire()
    (candidate,) = (await stage.last_decision())["candidates"]
    assert (candidate["rule"], candidate["reason"]) == ("b", "chosen")


async def test_old_events_of_a_load_wait_for_nothing(stage: Stage) -> None:
    stage.rules = ruleset(*THREE, policies=[WINDOW])
    await stage.does("A", "A", historical=True)
    assert await held(stage) == 0
    (candidate,) = (await stage.last_decision())["candidates"]
    assert candidate["stage"] == "stale"


async def test_what_waits_moves_with_a_merge_and_competes_there(stage: Stage) -> None:
    stage.rules = ruleset(*THREE, policies=[WINDOW])
    await stage.does("A", "A", who="visitor")
    await stage.does("B", "B", who="ada")
    await merge(stage, "loser")
    assert await stage.scalar("SELECT in_flight FROM profile_state WHERE merged_into IS NULL") == 2
    await stage.advance(FIVE)
    await stage.fire()
    decision = await stage.last_decision()
    assert [one["rule"] for one in decision["candidates"]] == ["b", "a"]
    assert decision["profile_id"] == uid("ada")
    assert await stage.kinds() == ["send"]


async def test_a_split_gives_back_what_waits(stage: Stage) -> None:
    stage.rules = ruleset(*THREE, policies=[WINDOW])
    await stage.does("A", "A", who="visitor")
    await stage.does("B", "B", who="ada")
    for record in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(record)
    rows = await stage.rows("SELECT profile_id::text, touchpoint_id::text FROM held_candidate")
    assert {tuple(row) for row in rows} == {(uid("visitor"), uid("A")), (uid("ada"), uid("B"))}
    await stage.advance(FIVE)
    await stage.fire()
    assert len(await stage.kinds()) == 2
    assert await held(stage) == 0


async def test_an_erased_person_leaves_nothing_behind(stage: Stage) -> None:
    stage.rules = ruleset(*THREE, policies=[WINDOW])
    await stage.does("A", "A")
    await stage.respond(stage.record(uid("ada"), {"kind": "erased", "id": uid("x")}))
    assert await held(stage) == 0
    await stage.advance(FIVE)
    assert await stage.fire() == 0


async def test_a_rule_acts_once_for_a_window(stage: Stage) -> None:
    """The cart changed three times: the newest is the one that is answered."""
    stage.rules = ruleset(valued("a", "A", 1, arbitration={"max_actions": 5}), policies=[WINDOW])
    for name, ago in (("one", 3), ("three", 1), ("two", 2)):
        await stage.does(name, "A", ago=timedelta(seconds=ago))
    await stage.advance(FIVE)
    await stage.fire()
    decision = await stage.last_decision()
    assert decision["action_ids"] == [str(action_id("a", "three"))]
    assert [one["reason"] for one in decision["candidates"]] == [
        "chosen", "already_chosen", "already_chosen",
    ]  # fmt: skip


async def test_who_asks_meanwhile_leaves_what_waits(stage: Stage) -> None:
    """The person as last seen is kept for as long as anything of theirs waits."""
    stage.rules = ruleset(*THREE, asked_rule("offer", "kiosk"), policies=[WINDOW])
    await three_happen(stage)
    assert chosen(await ask(stage, version=10)) == "offer"
    assert await stage.scalar("SELECT snapshot IS NOT NULL FROM profile_state") is True
    await stage.advance(FIVE)
    assert await stage.fire() >= 1
    assert str(action_id("b", "B")) in (await stage.last_decision())["action_ids"]
