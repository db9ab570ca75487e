"""Batches, suggestions and verdicts on a real database: claimed once, found once, decided once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from services.profile.storage import link_runs, link_suggestions, profiles
from services.profile.storage.link_runs import LinkRun
from services.profile.storage.link_suggestions import Suggestion
from services.profile.use_cases.judge_links import judge_link
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.request_links import request_links
from services.profile.use_cases.set_apart import keep_profiles_apart
from shared.contracts.topics import Topics
from shared.errors import Conflict, NotFound
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.profile.linker import linker_on
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

ANN = Who("1", "ann")
ADA = {"first_name": "Ada", "last_name": "Lovelace", "birthday": "1815-12-10", "city": "London"}
GRACE = {"first_name": "Grace", "last_name": "Hopper", "birthday": "1906-12-09", "city": "New York"}
PEOPLE = [
    touchpoint(1, ("loyalty_id", "ada-1"), traits=ADA),
    touchpoint(2, ("email", "ada@x.y"), traits=ADA | {"last_name": "Lovelacce"}),
    touchpoint(3, ("loyalty_id", "grace-1"), traits=GRACE),
    touchpoint(4, ("email", "g@x.y"), traits=GRACE | {"birthday": "1906-12-08"}),
    touchpoint(5, ("email", "bo@x.y"), traits={"first_name": "Bo", "last_name": "Diddley"}),
    touchpoint(6, ("email", "nobody@x.y")),
]


async def find(worker: Worker, threshold: float = 0.9, max_pairs: int = 1000) -> LinkRun:
    """One batch from request to end."""
    await request_links(worker.engine, threshold=threshold, who=ANN)
    assert await linker_on(worker.engine, max_pairs=max_pairs).serve_one(asyncio.Event())
    return await latest(worker)


async def latest(worker: Worker) -> LinkRun:
    async with transaction(worker.engine) as tx:
        run = await link_runs.latest(tx)
    assert run is not None
    return run


async def listed(worker: Worker, **narrowed: Any) -> list[Suggestion]:
    async with transaction(worker.engine) as tx:
        return await link_suggestions.listed(
            tx, **({"min_score": 0.0, "status": None, "limit": 100} | narrowed)
        )


async def judge(worker: Worker, suggestion: Suggestion, *, accept: bool) -> Suggestion:
    return await judge_link(
        worker.engine,
        UUID(suggestion.id),
        accept=accept,
        who=ANN,
        topics=Topics(),
        counts=worker.counts,
        rules=worker.rules,
        live=LiveDefinitions(),
    )


@pytest.fixture
async def people(worker: Worker) -> Worker:
    """The worker that has absorbed everybody."""
    await worker.absorb_in_batches(PEOPLE, 1)
    return worker


async def test_a_batch_suggests_and_says_why(people: Worker) -> None:
    run = await find(people)
    assert (run.status, run.profiles, run.suggestions) == ("completed", 6, 2)
    assert run.pairs > 0
    found = await listed(people)
    assert len(found) == 2
    words = {feature["words"] for one in found for feature in one.features}
    assert {"surname nearly equal", "birthday one digit apart", "given name equal"} <= words
    shown = str([one.features for one in found])
    assert not [value for value in ("Lovelace", "lovelace", "1815", "x.y") if value in shown]


async def test_an_accepted_pair_is_one_profile_with_both_updates(people: Worker) -> None:
    await find(people)
    first = (await listed(people))[0]
    judged = await judge(people, first, accept=True)
    assert (judged.status, judged.who_name) == ("accepted", "ann")
    async with transaction(people.engine) as tx:
        now = await profiles.current(tx, [first.profile_b])
    assert now == {first.profile_b: first.profile_a}
    updates = await people.updates()
    winner, loser = (one for one in updates if one["cause"].get("kind") == "merged")
    if "merged_into" in winner:
        winner, loser = loser, winner
    assert (winner["merged_from"], loser["merged_into"]) == (first.profile_b, first.profile_a)
    assert winner["cause"] == loser["cause"]
    assert winner["cause"]["suggestion_id"] == first.id
    assert (winner["seq"], loser["seq"]) == (2, 2)
    ((merge_id, moved),) = await people.rows("SELECT id::text, cardinality(moved) FROM merge")
    assert (merge_id, moved) == (judged.merge_id, 1)
    ((kind, action),) = await people.rows(
        "SELECT kind, action FROM audit_log WHERE kind = 'link_suggestion'"
    )
    assert (kind, action) == ("link_suggestion", "accepted")


async def test_a_verdict_is_final_and_saying_it_twice_is_once(people: Worker) -> None:
    await find(people)
    first = (await listed(people))[0]
    once = await judge(people, first, accept=True)
    assert await judge(people, first, accept=True) == once
    with pytest.raises(Conflict, match="accepted by ann"):
        await judge(people, first, accept=False)
    assert len(await people.rows("SELECT 1 FROM merge")) == 1
    with pytest.raises(NotFound):
        await judge(people, first._replace(id=str(UUID(int=0))), accept=True)


async def test_a_rejected_pair_is_not_suggested_again(people: Worker) -> None:
    await find(people)
    first, second = await listed(people)
    await judge(people, first, accept=False)
    run = await find(people)
    assert run.suggestions == 1
    assert [one.id for one in await listed(people, status="open")] == [second.id]
    assert [one.id for one in await listed(people, status="rejected")] == [first.id]


async def test_a_rejected_pair_is_kept_apart(people: Worker) -> None:
    await find(people)
    for one in await listed(people):
        await judge(people, one, accept=False)
    assert await people.rows("SELECT cause FROM cannot_link") == [("hand",)] * 2
    await people.absorb(touchpoint(7, ("loyalty_id", "ada-1"), ("email", "ada@x.y")))
    assert len(await people.active()) == len(PEOPLE)


async def test_who_was_set_apart_by_hand_is_not_suggested(people: Worker) -> None:
    await find(people)
    first, second = await listed(people)
    async with transaction(people.engine) as tx:
        await keep_profiles_apart(
            tx,
            (first.profile_a, first.profile_b),
            why="twins",
            who=ANN,
            rules=people.rules,
            topics=Topics(),
            counts=people.counts,
        )
    assert (await find(people)).suggestions == 1
    assert [one.id for one in await listed(people)] == [second.id]


async def test_a_rejection_holds_for_what_a_profile_becomes(people: Worker) -> None:
    await find(people)
    for one in await listed(people):
        await judge(people, one, accept=False)
    # An older profile takes one of the two Adas over: her id is another one now.
    joining = touchpoint(9, ("email", "ada@x.y"), ("phone", "+33612345678"))
    await people.absorb(touchpoint(0, ("phone", "+33612345678")), joining)
    assert len(await people.active()) == len(PEOPLE)
    assert (await find(people)).suggestions == 0


async def test_a_pair_that_was_merged_meanwhile_disappears(people: Worker) -> None:
    await find(people)
    first, second = await listed(people)
    assert first.score >= second.score
    await people.absorb(touchpoint(7, ("loyalty_id", "ada-1"), ("email", "ada@x.y")))
    (left,) = await listed(people)
    gone = second if left.id == first.id else first
    for accept in (True, False):
        with pytest.raises(Conflict, match="merged or erased"):
            await judge(people, gone, accept=accept)


async def test_two_batches_leave_one_set_and_a_higher_threshold_a_smaller_one(
    people: Worker,
) -> None:
    await find(people, 0.5)
    before = await listed(people)
    await find(people, 0.5)
    assert [one[:5] for one in await listed(people)] == [one[:5] for one in before]
    best = before[0].score
    await find(people, min(best, 0.999999))
    assert [one.id for one in await listed(people)] == [
        one.id for one in before if one.score >= min(best, 0.999999)
    ]


async def test_pages_go_on_where_the_last_one_ended(people: Worker) -> None:
    await find(people)
    everything = await listed(people)
    (first,) = await listed(people, limit=1)
    (second,) = await listed(people, limit=1, after=(first.score, UUID(first.id)))
    assert [first, second] == everything
    assert await listed(people, min_score=1.0) == [one for one in everything if one.score == 1.0]


async def test_too_many_pairs_are_refused_before_they_are_made(people: Worker) -> None:
    run = await find(people, max_pairs=1)
    assert run.status == "failed"
    assert "CONCERT_LINK_MAX_PAIRS" in (run.problem or "")
    assert await listed(people) == []


async def test_one_batch_at_a_time(people: Worker) -> None:
    await request_links(people.engine, threshold=0.9, who=ANN)
    with pytest.raises(Conflict, match="queued or runs"):
        await request_links(people.engine, threshold=0.9, who=ANN)
    async with transaction(people.engine) as first, transaction(people.engine) as second:
        assert await link_runs.claim(first, "one") is not None
        assert await link_runs.claim(second, "two") is None


async def test_a_silent_process_loses_its_batch_and_cannot_write_any_more(people: Worker) -> None:
    await request_links(people.engine, threshold=0.9, who=ANN)
    async with transaction(people.engine) as tx:
        lost = await link_runs.claim(tx, "silent")
        assert lost is not None
    async with transaction(people.engine) as tx:
        assert await link_runs.claim(tx, "two") is None
        await people_fall_silent(people)
    assert await linker_on(people.engine, member="two").serve_one(asyncio.Event())
    assert (await latest(people)).attempt == 2
    async with transaction(people.engine) as tx:
        assert not await link_runs.keep(
            tx, lost, phase="writing", profiles=0, pairs=0, suggestions=0
        )
        await link_runs.end(tx, lost, problem="no")
    assert (await latest(people)).status == "completed"
    assert len(await listed(people)) == 2


async def people_fall_silent(worker: Worker) -> None:
    """The claim on the batch runs out."""
    async with worker.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE link_run SET claimed_until = clock_timestamp() - interval '1 second'"
        )


async def test_a_process_that_is_told_to_stop_gives_its_batch_back(people: Worker) -> None:
    await request_links(people.engine, threshold=0.9, who=ANN)
    stopping = asyncio.Event()
    stopping.set()
    assert await linker_on(people.engine).serve_one(stopping)
    assert (await latest(people)).status == "queued"
    assert await linker_on(people.engine, member="two").serve_one(asyncio.Event())
    assert (await latest(people)).status == "completed"


async def test_nobody_to_compare_is_no_failure(worker: Worker) -> None:
    run = await find(worker)
    assert (run.status, run.profiles, run.suggestions) == ("completed", 0, 0)


async def test_a_veto_stands_against_an_acceptance(worker: Worker) -> None:
    await worker.absorb(
        touchpoint(1, ("user_id", "a"), traits=ADA), touchpoint(2, ("user_id", "b"), traits=ADA)
    )
    await find(worker)
    (one,) = await listed(worker)
    with pytest.raises(Conflict, match="only ever name two people"):
        await judge(worker, one, accept=True)
    assert (await listed(worker))[0].status == "open"
    assert len(await worker.active()) == 2


async def test_precision_counts_verdicts_by_band_and_what_was_undone_as_wrong(
    people: Worker,
) -> None:
    await find(people)
    first, second = await listed(people)
    await judge(people, first, accept=True)
    await judge(people, second, accept=False)
    async with transaction(people.engine) as tx:
        bands = await link_suggestions.judged(tx)
    assert sum(one.accepted for one in bands) == sum(one.rejected for one in bands) == 1
    decided = [one for one in bands if one.least <= first.score and one.accepted]
    assert len(decided) == 1
    async with people.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE merge SET undone_at = now()")
    async with transaction(people.engine) as tx:
        assert sum(one.undone for one in await link_suggestions.judged(tx)) == 1
