"""Two workers and two pollers at the same time: caps hold, a timer fires once, nothing is lost."""

import asyncio
from datetime import timedelta

from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import email, policy, rule, ruleset, uid

HOUR = timedelta(hours=1)


async def test_two_merged_halves_of_a_person_share_one_slot(stage: Stage) -> None:
    """The loser's late touchpoint and the winner's are decided by two workers at once."""
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    winner, loser = uid("ada"), uid("visitor")
    for turn in range(10):
        await stage.advance(timedelta(days=2))
        late = await stage.happened(f"late{turn}", who="visitor")
        if turn == 0:
            cause = {"kind": "merged"}
            await stage.respond(stage.record(winner, cause, merged_from=loser))
        own = await stage.happened(f"own{turn}", who="ada")
        before = len(await stage.kinds())
        await asyncio.gather(stage.respond(late), stage.respond(own))
        assert len(await stage.kinds()) == before + 1


async def test_two_pollers_fire_every_timer_once(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    await stage.respond(*[await stage.happened(f"c{n}", who=f"p{n % 20}") for n in range(60)])
    await stage.advance(HOUR)

    async def poll() -> int:
        fired = 0
        for _ in range(30):
            fired += await stage.fire(limit=7)
        return fired

    assert sum(await asyncio.gather(poll(), poll())) == 60
    sent = [one.value["action_id"] for one in await stage.messages("actions.email")]
    assert len(sent) == len(set(sent)) == 60
    assert await stage.scalar("SELECT sum(in_flight) FROM profile_state") == 0


async def test_a_purchase_and_a_due_timer_at_once_send_or_take_back_but_not_both(
    stage: Stage,
) -> None:
    bought = [{"event": "Order Completed"}]
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")], exit_criteria=bought))
    for turn in range(10):
        who = f"p{turn}"
        await stage.does(f"cart{turn}", who=who)
        await stage.advance(HOUR)
        till = await stage.happened(f"till{turn}", "Order Completed", who=who)
        await asyncio.gather(stage.fire(), stage.respond(till))
        await stage.fire()
        kinds = [
            one.value["kind"]
            for one in await stage.messages("actions.email")
            if one.key == uid(who)
        ]
        assert kinds in ([], ["send", "retract"])
        status = await stage.scalar("SELECT status FROM action WHERE profile_id = :p", p=uid(who))
        assert status == "retracted"
