"""Memberships after a person corrected who is who: right within the sweep, and no news to rules."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared import clock
from shared.contracts.times import rfc3339
from shared.postgres.outbox import decode_frame
from tests.integration.profile.corrector import Corrector
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import order, touchpoint

BROWSER, MAIL = ("anonymous_id", "a"), ("email", "e@x.y")
TWICE = {"event": "Order Completed", "count": {"gte": 2}, "within": "P30D"}
THRICE = {"event": "Order Completed", "count": {"gte": 3}}
GOLD = {"attr": "profile.tier", "op": "eq", "value": "gold"}


@pytest.fixture
async def definer(worker: Worker) -> Definer:
    """Three segments in force: one in a window, one for ever, one of a trait."""
    made = Definer(worker)
    await made.segment("twice", TWICE)
    await made.segment("thrice", THRICE)
    await made.segment("gold", GOLD)
    await made.persona("golden", 1, {"segment": "gold"})
    await made.settle()
    return made


@pytest.fixture
def corrector(worker: Worker) -> Corrector:
    return Corrector(worker)


def bought(number: int, *who: tuple[str, str], days_ago: float = 0) -> dict[str, Any]:
    return {
        **order(number, *who),
        "occurred_at": rfc3339(clock.now() - timedelta(days=days_ago)),
    }


async def standing(worker: Worker) -> dict[str, list[str]]:
    """The strongest identifier of each active profile -> its segments."""
    return {one.identifiers[0].value: list(one.standing.segments) for one in await worker.active()}


async def mark(worker: Worker) -> int:
    """Where the outbox ends now."""
    ((last,),) = await worker.rows("SELECT coalesce(max(id), 0) FROM outbox")
    return int(last)


async def changes(worker: Worker, since: int) -> list[tuple[str, str | None, bool]]:
    """(kind, segment, backfill) of what was told of memberships after a mark."""
    frames = await worker.rows(f"SELECT frame FROM outbox WHERE id > {since} ORDER BY id")
    messages = (message for (frame,) in frames for message in decode_frame(frame))
    causes = (msgspec.json.decode(message.value or b"{}")["cause"] for message in messages)
    return [
        (cause["kind"], cause.get("segment"), cause.get("backfill", False))
        for cause in causes
        if cause.get("kind") in ("segment_entered", "segment_left", "persona_changed")
    ]


async def two_buyers(worker: Worker) -> None:
    """A gold browser with two orders, and a mailbox with two."""
    await worker.absorb(
        bought(1, BROWSER, days_ago=20),
        bought(2, BROWSER, days_ago=1),
        touchpoint(3, BROWSER, traits={"tier": "gold"}),
        bought(4, MAIL, days_ago=10),
        bought(5, MAIL, days_ago=2),
    )


async def test_an_undo_gives_both_their_own_memberships_and_triggers_nothing(
    worker: Worker, definer: Definer, corrector: Corrector
) -> None:
    await two_buyers(worker)
    before = await standing(worker)
    assert before == {"a": ["gold", "twice"], "e@x.y": ["twice"]}
    await worker.absorb(touchpoint(6, MAIL, BROWSER))
    assert await standing(worker) == {"e@x.y": ["gold", "thrice", "twice"]}
    told = await mark(worker)

    (merge,) = await corrector.open_merges()
    await corrector.undo(merge)
    assert len(await worker.rows("SELECT 1 FROM deadline WHERE due_at < '1971-01-01'")) == 2
    await definer.sweep_all()
    assert await standing(worker) == before
    since = await changes(worker, told)
    assert ("segment_entered", "twice", True) in since
    assert ("segment_left", "thrice", True) in since
    assert all(backfill for _, _, backfill in since)

    told = await mark(worker)
    await definer.advance_clock(timedelta(days=11))
    await definer.sweep_all()
    assert await standing(worker) == {"a": ["gold"], "e@x.y": ["twice"]}
    await definer.advance_clock(timedelta(days=10))
    await definer.sweep_all()
    assert await standing(worker) == {"a": ["gold"], "e@x.y": []}
    assert await changes(worker, told) == [("segment_left", "twice", False)] * 2


async def test_a_split_gives_both_their_own_memberships_and_triggers_nothing(
    worker: Worker, definer: Definer, corrector: Corrector
) -> None:
    await worker.absorb(bought(1, BROWSER, MAIL, days_ago=3))
    await worker.absorb(
        bought(2, BROWSER), bought(3, BROWSER), touchpoint(4, BROWSER, traits={"tier": "gold"})
    )
    assert await standing(worker) == {"e@x.y": ["gold", "thrice", "twice"]}
    told = await mark(worker)
    await corrector.split(await corrector.owner(*MAIL), ["anonymous_id\0a"])
    await definer.sweep_all()
    assert await standing(worker) == {"e@x.y": [], "a": ["gold", "twice"]}
    since = await changes(worker, told)
    assert {kind for kind, _, _ in since} == {"segment_entered", "segment_left", "persona_changed"}
    assert all(backfill for _, _, backfill in since)


async def test_a_merge_by_hand_counts_what_both_did_and_triggers_nothing(
    worker: Worker, definer: Definer, corrector: Corrector
) -> None:
    await two_buyers(worker)
    told = await mark(worker)
    ids = [await corrector.owner(*one) for one in (BROWSER, MAIL)]
    await corrector.merge(*ids)
    await definer.sweep_all()
    assert await standing(worker) == {"e@x.y": ["gold", "thrice", "twice"]}
    assert await changes(worker, told) == [("segment_entered", "thrice", True)]


async def test_what_a_customer_does_after_a_correction_is_news_again(
    worker: Worker, definer: Definer, corrector: Corrector
) -> None:
    await worker.absorb(bought(1, BROWSER), bought(2, MAIL), touchpoint(3, MAIL, BROWSER))
    await corrector.undo((await corrector.open_merges())[0])
    await definer.sweep_all()
    told = await mark(worker)
    await worker.absorb(bought(4, MAIL))
    assert await changes(worker, told) == [("segment_entered", "twice", False)]


async def test_touchpoints_between_a_correction_and_the_sweep_are_counted_once(
    worker: Worker, definer: Definer, corrector: Corrector
) -> None:
    await two_buyers(worker)
    await worker.absorb(touchpoint(6, MAIL, BROWSER))
    await corrector.undo((await corrector.open_merges())[0])
    await worker.absorb(bought(7, MAIL), touchpoint(8, BROWSER, traits={"tier": "tin"}))
    await definer.sweep_all()
    assert await standing(worker) == {"a": ["twice"], "e@x.y": ["thrice", "twice"]}
    assert await definer.sweep_all() == 0


async def test_profiles_that_merge_while_a_definition_is_on_its_way_are_no_news(
    worker: Worker, definer: Definer
) -> None:
    """Nobody knows which of it was so before; so it is told as the definition's doing."""
    await worker.absorb(touchpoint(1, BROWSER), touchpoint(2, MAIL))
    await definer.segment("viewers", {"event": "Product Viewed", "count": {"gte": 2}})
    assert await definer.backfill.advance(1) == 1
    told = await mark(worker)
    await worker.absorb(touchpoint(3, MAIL, BROWSER))
    await definer.settle(1)
    assert await standing(worker) == {"e@x.y": ["viewers"]}
    assert await changes(worker, told) == [("segment_entered", "viewers", True)]
