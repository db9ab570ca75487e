"""The names that people are searched by: kept by the worker."""

from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

NAMES = "SELECT first_last, last_first FROM profile WHERE status = 'active' ORDER BY id"
U1, U2, MAIL = ("user_id", "u1"), ("loyalty_id", "l1"), ("email", "a@b.c")


async def test_the_worker_keeps_names_as_they_change(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, U1, traits={"first_name": "Zoë", "last_name": "Ek"}))
    assert await worker.rows(NAMES) == [("zoe ek", "ek zoe")]
    await worker.absorb(touchpoint(2, U1))
    assert await worker.rows(NAMES) == [("zoe ek", "ek zoe")]
    await worker.absorb(touchpoint(3, U1, traits={"last_name": None}))
    assert await worker.rows(NAMES) == [("zoe", "")]
    await worker.absorb(touchpoint(4, U1, traits={"first_name": None, "city": "Gent"}))
    assert await worker.rows(NAMES) == [("", "")]


async def test_a_merge_leaves_the_name_with_the_winner(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, U1, MAIL))
    await worker.absorb(touchpoint(2, U2, traits={"first_name": "Ada"}))
    assert await worker.rows(NAMES) == [("", ""), ("ada", "")]
    await worker.absorb(touchpoint(3, U2, MAIL))
    assert await worker.rows(NAMES) == [("ada", "")]
    lost = "SELECT first_last, last_first FROM profile WHERE status = 'merged'"
    assert await worker.rows(lost) == [("", "")]
