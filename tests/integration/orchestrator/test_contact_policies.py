"""Contact policies on the database: what waits is put off and moved, and outcomes are read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.rule import Holdout, Rule
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import action_id, email, policy, profile_json, rule, ruleset, uid

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OUTCOME = """
    INSERT INTO outcome
           (profile_id, touchpoint_id, action_id, outcome, at, channel, category, grp, rule)
    VALUES (:who, gen_random_uuid(), gen_random_uuid(), :what, :at, 'push', 'marketing', 'cart',
            'other') RETURNING at
"""


def marketing(key: str = "r", event: str = "Cart Updated", **fields: Any) -> Rule:
    return rule(key, event, **{"category": "marketing", "group": "cart", **fields})


def quiet(start: datetime, end: datetime, **more: Any) -> dict[str, Any]:
    """Silence from one instant to another, on a clock that shows UTC."""
    clock = [at.astimezone(UTC).strftime("%H:%M") for at in (start, end)]
    return {"from": clock[0], "to": clock[1], **more}


async def ledger(stage: Stage, name: str) -> Any:
    (row,) = await stage.rows(
        "SELECT c.at, c.status, a.due_at, a.status AS action, a.reason, a.gen "
        "FROM contact_ledger AS c JOIN action AS a USING (action_id) WHERE action_id = :id",
        id=action_id("r", name),
    )
    return row


async def heard(stage: Stage, what: str, *, who: str = "ada", ago: timedelta = HOUR) -> None:
    await stage.scalar(OUTCOME, who=uid(who), what=what, at=await stage.now() - ago)


async def test_an_action_waits_for_the_end_of_the_quiet_hours(stage: Stage) -> None:
    now = (await stage.now()).replace(second=0, microsecond=0)
    silence = quiet(now - HOUR, now + 2 * HOUR)
    stage.rules = ruleset(marketing(), policies=[policy(quiet_hours=[silence])])
    await stage.does("cart")
    decision = await stage.last_decision()
    assert decision["outcome"] == "deferred"
    assert decision["zone"] == {"name": "UTC", "source": "default"}
    assert "time zone is not known" in decision["sentence"]
    row = await ledger(stage, "cart")
    assert (row.at, row.due_at, row.action) == (now + 2 * HOUR, now + 2 * HOUR, "pending")
    await stage.advance(HOUR)
    assert await stage.fire() == 0
    await stage.advance(HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds() == ["send"]
    assert (await ledger(stage, "cart")).status == "made"


async def test_what_waits_is_put_off_when_the_policy_changed_meanwhile(stage: Stage) -> None:
    now = (await stage.now()).replace(second=0, microsecond=0)
    late = marketing(actions=[email(delay="PT1H", expires_in="P2D")])
    stage.rules = ruleset(late)
    await stage.does("cart")
    cap = {"limit": 1, "window": "PT1H"}
    silence = quiet(now, now + 5 * HOUR)
    stage.rules = ruleset(late, policies=[policy(cap, quiet_hours=[silence])])
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds() == []
    row = await ledger(stage, "cart")
    moved = now + 5 * HOUR
    assert (row.at, row.status, row.due_at, row.action) == (moved, "reserved", moved, "pending")
    assert row.reason.startswith("quiet_hours: quiet hours")
    # Its slot moved along: what would be released beside it is capped.
    stage.rules = ruleset(
        marketing("other", "Page Viewed"), policies=[policy(cap, quiet_hours=[silence])]
    )
    await stage.does("page", "Page Viewed")
    assert (await stage.last_decision())["candidates"][0]["stage"] == "cap"
    stage.rules = ruleset(late, policies=[policy(cap, quiet_hours=[silence])])
    await stage.advance(4 * HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds() == ["send"]
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_what_would_expire_in_the_quiet_hours_is_taken_back(stage: Stage) -> None:
    now = (await stage.now()).replace(second=0, microsecond=0)
    late = marketing(actions=[email(delay="PT1H", expires_in="PT2H")])
    stage.rules = ruleset(late)
    await stage.does("cart")
    stage.rules = ruleset(late, policies=[policy(quiet_hours=[quiet(now, now + 8 * HOUR)])])
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    row = await ledger(stage, "cart")
    assert (row.status, row.action) == ("released", "expired")
    assert "before the end of quiet hours" in row.reason


async def test_what_waits_is_dropped_when_quiet_hours_discard_it(stage: Stage) -> None:
    now = (await stage.now()).replace(second=0, microsecond=0)
    late = marketing(actions=[email(delay="PT1H")])
    stage.rules = ruleset(late)
    await stage.does("cart")
    discard = quiet(now, now + 8 * HOUR, action="discard")
    stage.rules = ruleset(late, policies=[policy(quiet_hours=[discard])])
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    assert await stage.status(action_id("r", "cart")) == "retracted"


async def test_a_zone_that_became_known_puts_off_what_waits(stage: Stage) -> None:
    """Noon where nobody knew better, and night where she lives."""
    now = (await stage.now()).replace(second=0, microsecond=0)
    silence = quiet(now + 11 * HOUR, now + 15 * HOUR)
    late = marketing(actions=[email(delay="PT1H", expires_in="P2D")])
    stage.rules = ruleset(late, policies=[policy(quiet_hours=[silence])])
    await stage.does("cart")
    where = profile_json(uid("ada"), timezone="Etc/GMT-12")
    await stage.does("page", "Page Viewed", profile=where)
    await stage.advance(HOUR)
    assert await stage.fire() == 1
    assert (await ledger(stage, "cart")).at == now + 3 * HOUR


IGNORED = {"on": {"outcome": "ignored", "count": 2, "within": "P7D", "per": "group"}, "for": "P7D"}


async def test_outcomes_silence_what_is_decided_and_what_waits(stage: Stage) -> None:
    late = marketing(actions=[email(delay="PT2H")])
    held: list[ContactPolicy] = [policy(suppressions=[IGNORED])]
    stage.rules = ruleset(late, policies=held)
    await heard(stage, "ignored", ago=6 * DAY)
    await stage.does("cart")
    assert (await stage.last_decision())["outcome"] == "deferred"
    await heard(stage, "ignored", ago=HOUR)
    await heard(stage, "ignored", who="bo")
    await stage.does("again")
    decision = await stage.last_decision()
    assert decision["outcome"] == "suppressed"
    (candidate,) = decision["candidates"]
    assert (candidate["stage"], candidate["reason"]) == ("suppression", "ignored")
    assert len(candidate["detail"]["actual"]["outcomes"]) == 2
    await stage.does("hers", who="bo")
    assert (await stage.last_decision())["outcome"] == "deferred"
    await stage.advance(3 * HOUR)
    assert await stage.fire() == 2
    assert await stage.status(action_id("r", "cart")) == "retracted"
    assert await stage.status(action_id("r", "hers")) == "published"
    await stage.advance(7 * DAY)
    await stage.does("later")
    assert (await stage.last_decision())["outcome"] == "deferred"


async def test_outcomes_move_with_a_merge(stage: Stage) -> None:
    stage.rules = ruleset(marketing(), policies=[policy(suppressions=[IGNORED])])
    await heard(stage, "ignored", ago=DAY)
    await heard(stage, "ignored", who="visitor")
    await stage.does("hello", "Page Viewed", who="visitor")
    await stage.respond(stage.record(uid("ada"), {"kind": "merged"}, merged_from=uid("visitor")))
    await stage.does("cart")
    assert (await stage.last_decision())["outcome"] == "suppressed"


async def test_a_holdout_holds_at_release_too(stage: Stage) -> None:
    late = marketing(actions=[email(delay="PT1H")])
    stage.rules = ruleset(late)
    await stage.does("cart")
    stage.rules = ruleset(replace(late, holdout=Holdout(100, "s")))
    await stage.does("again")
    decision = await stage.last_decision()
    assert decision["outcome"] == "held_out"
    assert decision["candidates"][0]["holdouts"][0]["held_out"] is True
    await stage.advance(HOUR)
    assert await stage.fire() == 1
    assert await stage.status(action_id("r", "cart")) == "retracted"
    assert await stage.kinds() == []
