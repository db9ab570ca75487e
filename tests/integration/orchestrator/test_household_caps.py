"""Caps over everybody of a household hold whoever is decided first, together or at once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.use_cases.respond import Responder
from shared.contracts.topics import Topics
from shared.kafka.records import Record
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.unit.orchestrator.build import action_id, email, policy, profile_json, rule, ruleset, uid

HOME, OTHER = uid("home"), uid("other")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ONE_A_DAY = {"limit": 1, "window": "P1D", "per": "household"}


def marketing(**fields: Any) -> Any:
    return rule(category="marketing", **fields)


async def cart(stage: Stage, who: str, name: str, household: str | None = HOME) -> Record:
    profile = profile_json(uid(who), household=household)
    return await stage.happened(name, who=who, profile=profile)


async def fates(stage: Stage) -> list[str]:
    """The stage of the one candidate of each decision, in order."""
    found = await stage.messages("decisions")
    return [one.value["candidates"][0]["stage"] for one in found if one.value["candidates"]]


@pytest.mark.parametrize("together", [True, False])
async def test_what_one_member_got_counts_for_the_others(stage: Stage, together: bool) -> None:
    stage.rules = ruleset(marketing(), policies=[policy(ONE_A_DAY)])
    records = [
        await cart(stage, "ada", "a"),
        await cart(stage, "bo", "b"),
        await cart(stage, "cy", "c", OTHER),
        await cart(stage, "dee", "d", None),
    ]
    for batch in [records] if together else [[one] for one in records]:
        await stage.respond(*batch)
    assert sorted(await fates(stage)) == ["cap", "chosen", "chosen", "chosen"]
    decisions = [one.value for one in await stage.messages("decisions")]
    (held,) = [one for one in decisions if one["outcome"] == "suppressed"]
    assert held["profile_id"] == uid("bo")
    assert "with everybody of the household" in held["sentence"]
    await stage.advance(DAY)
    await stage.respond(await cart(stage, "bo", "later"))
    assert (await fates(stage))[-1] == "chosen"


async def test_a_cap_for_each_person_is_not_the_households(stage: Stage) -> None:
    stage.rules = ruleset(marketing(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.respond(await cart(stage, "ada", "a"), await cart(stage, "bo", "b"))
    assert await fates(stage) == ["chosen", "chosen"]
    assert await stage.scalar("SELECT count(*) FROM household_turn") == 0


async def test_own_contacts_come_along_to_another_household(stage: Stage) -> None:
    stage.rules = ruleset(marketing(), policies=[policy(ONE_A_DAY)])
    await stage.respond(await cart(stage, "ada", "a", None))
    await stage.respond(await cart(stage, "ada", "b", HOME))
    assert await fates(stage) == ["chosen", "cap"]
    # What she got before she came is hers, not the household's.
    await stage.respond(await cart(stage, "bo", "c", HOME))
    assert (await fates(stage))[-1] == "chosen"


async def test_what_is_taken_back_makes_room_for_the_others(stage: Stage) -> None:
    delayed = marketing(actions=[email(delay="PT1H")], exit_criteria=[{"event": "Order Completed"}])
    stage.rules = ruleset(delayed, policies=[policy(ONE_A_DAY)])
    await stage.respond(await cart(stage, "ada", "a"), await cart(stage, "bo", "b"))
    assert await fates(stage) == ["chosen", "cap"]
    bought = await stage.happened(
        "till", "Order Completed", profile=profile_json(uid("ada"), household=HOME)
    )
    await stage.respond(bought, await cart(stage, "bo", "again"))
    assert (await fates(stage))[-1] == "chosen"
    assert await stage.status(action_id("r", "a")) == "retracted"


async def test_a_waiting_action_is_held_when_the_household_had_its_share(stage: Stage) -> None:
    stage.rules = ruleset(marketing(actions=[email(delay="PT2H")]))
    await stage.respond(await cart(stage, "ada", "a"), await cart(stage, "bo", "b"))
    stage.rules = ruleset(marketing(actions=[email(delay="PT2H")]), policies=[policy(ONE_A_DAY)])
    await stage.advance(3 * HOUR)
    assert await stage.fire() == 2
    states = [await stage.status(action_id("r", name)) for name in ("a", "b")]
    assert sorted(states) == ["published", "retracted"]


async def test_two_members_on_two_partitions_never_pass_one_cap(stage: Stage) -> None:
    """One worker has decided and not yet committed; the other one waits for it."""
    stage.rules = ruleset(marketing(), policies=[policy(ONE_A_DAY)])
    first, second = await cart(stage, "ada", "a"), await cart(stage, "bo", "b")
    decided, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        responder = Responder(ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS)
        async with transaction(stage.engine) as tx:
            handled = await responder([first], tx)
            await outbox.append(tx, handled.messages)
            decided.set()
            await go_on.wait()

    one = asyncio.create_task(slow())
    await decided.wait()
    other = asyncio.create_task(stage.respond(second))
    await asyncio.sleep(0.3)
    assert not other.done()
    go_on.set()
    await asyncio.gather(one, other)
    assert await stage.kinds() == ["send"]
    assert sorted(await fates(stage)) == ["cap", "chosen"]


async def test_many_members_at_once_get_no_more_than_the_cap(stage: Stage) -> None:
    limit = 3
    cap = {"limit": limit, "window": "P7D", "per": "household"}
    stage.rules = ruleset(marketing(), policies=[policy(cap)])
    people = [f"member-{n}" for n in range(16)]
    homes = (HOME, OTHER)
    records = [await cart(stage, who, f"cart-{n}", homes[n % 2]) for n, who in enumerate(people)]
    await asyncio.gather(
        *(stage.respond(*records[start : start + 4]) for start in range(0, len(records), 4))
    )
    made = await stage.rows(
        "SELECT household::text, count(*) AS n FROM contact_ledger GROUP BY 1 ORDER BY 1"
    )
    assert [(row.household, row.n) for row in made] == sorted((home, limit) for home in homes)
