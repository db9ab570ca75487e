"""An erased profile: everything that was decided, done or planned for it is gone, for good."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.orchestrator.storage import erasures
from services.orchestrator.storage.erasures import TABLES
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import action_id, email, rule, ruleset, uid

HOUR = timedelta(hours=1)


async def counts(stage: Stage) -> dict[str, int]:
    return {table: await stage.scalar(f"SELECT count(*) FROM {table}") for table in TABLES}


async def erased(stage: Stage, who: str, **fields: Any) -> None:
    await stage.respond(stage.record(uid(who), {"kind": "erased", "id": uid("x")}, **fields))


async def read(stage: Stage, who: str) -> Any:
    async with transaction(stage.engine) as tx:
        return await erasures.forgotten(tx, UUID(uid(who)))


async def test_all_that_was_held_of_a_profile_is_gone_and_counted(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    await stage.does("c1")
    await stage.does("c2", who="bo")
    before = await counts(stage)
    assert await read(stage, "ada") is None
    await erased(stage, "ada")
    found = await read(stage, "ada")
    assert found["decision"] == found["action"] == found["timer"] == 1
    assert found["outbox"] >= 1
    after = await counts(stage)
    assert after["decision"] == before["decision"] - 1
    assert await stage.rows("SELECT 1 FROM action WHERE profile_id = :p", p=uid("ada")) == []
    assert all(message.key != uid("ada") for message in await stage.messages())
    await stage.advance(HOUR)
    await stage.fire()
    assert {one.key for one in await stage.messages("actions.email")} == {uid("bo")}


async def test_what_a_channel_has_is_taken_back_without_a_word_about_the_person(
    stage: Stage,
) -> None:
    call = {"type": "task", "channel": "call_centre", "content": {"body": "Call"}}
    stage.rules = ruleset(rule(actions=[call, email(delay="PT1H")]))
    await stage.does("c1")
    await erased(stage, "ada")
    (message,) = await stage.messages("actions.call_centre")
    assert message.value["kind"] == "retract"
    assert message.value["action_id"] == str(action_id("r", "c1"))
    assert set(message.value) <= {
        *("action_id", "idempotency_key", "kind", "profile_id", "channel", "category", "rule"),
        *("decision_id", "reason"),
    }
    assert await stage.messages("actions.email") == []
    assert await counts(stage) == dict.fromkeys(TABLES, 0)
    async with transaction(stage.engine) as tx:
        assert await erasures.is_action_erased(tx, action_id("r", "c1"))
        assert not await erasures.is_action_erased(tx, action_id("r", "c2"))


async def test_what_stands_before_it_in_the_same_batch_is_not_answered(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    first = await stage.happened("c1")
    last = stage.record(uid("ada"), {"kind": "erased", "id": uid("x")})
    await stage.respond(first, last)
    assert await stage.messages() == []


async def test_it_comes_twice_and_changes_nothing(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.does("c1")
    record = stage.record(uid("ada"), {"kind": "erased", "id": uid("x")})
    await stage.respond(record)
    found = await read(stage, "ada")
    await stage.respond(record)
    assert await read(stage, "ada") == found


async def test_late_updates_of_a_merged_profile_bring_nothing_back(stage: Stage) -> None:
    """The loser's partition lags: its own updates come when the winner is erased already."""
    stage.rules = ruleset(rule())
    winner, loser = uid("ada"), uid("visitor")
    early = await stage.happened("early", who="visitor")
    late = await stage.happened("late", who="visitor")
    await stage.respond(early)
    await stage.respond(stage.record(winner, {"kind": "merged"}, merged_from=loser))
    await erased(stage, "ada")
    assert (await read(stage, "ada"))["decision"] == 0
    await stage.respond(late)
    await erased(stage, "visitor")
    assert await counts(stage) == dict.fromkeys(TABLES, 0)
    assert (await read(stage, "visitor"))["decision"] == 1


async def test_a_link_that_is_told_after_the_winner_was_erased_keeps_nothing(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    winner, loser = uid("ada"), uid("visitor")
    await stage.does("c1", who="visitor")
    await erased(stage, "ada")
    await stage.respond(stage.record(loser, {"kind": "merged"}, merged_into=winner))
    await erased(stage, "visitor")
    assert await counts(stage) == dict.fromkeys(TABLES, 0)
    assert await stage.scalar("SELECT sum(in_flight) FROM profile_state") == 0


async def test_no_table_with_profiles_is_forgotten(stage: Stage) -> None:
    found = await stage.rows(
        "SELECT DISTINCT table_name FROM information_schema.columns"
        " WHERE table_schema = 'orchestrator' AND column_name = 'profile_id'"
    )
    tables = {row[0] for row in found if not row[0].startswith("decision_")}
    assert tables == {*TABLES, "profile_state", "erased_profile"}
