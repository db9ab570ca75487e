"""5,000 records of 2,000 people in two silos: what identifiers unite, and what the linker finds."""

import asyncio
from itertools import combinations

import pytest

from services.profile.storage import link_runs, link_suggestions
from services.profile.storage.link_runs import LinkRun
from services.profile.storage.link_suggestions import Suggestion
from services.profile.use_cases.request_links import request_links
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.profile.linker import linker_on
from tests.integration.profile.worker import Worker
from tests.support.febrl import (
    TRUE_LINKS,
    febrl_records,
    febrl_touchpoint,
    measured,
    true_links,
)

RECORDS = febrl_records()
TRUE = true_links(RECORDS)
BATCH = 500


async def load(worker: Worker, *, national_id_identifies: bool) -> dict[str, list[str]]:
    """Absorb every record; profile -> the accounts it holds."""
    told = [
        febrl_touchpoint(number, record, national_id_identifies=national_id_identifies)
        for number, record in enumerate(RECORDS)
    ]
    await worker.absorb_in_batches(told, BATCH)
    return {
        one.id: [held.value for held in one.identifiers if held.type.endswith("_account")]
        for one in await worker.active()
    }


def test_the_file_is_what_it_was() -> None:
    assert (len(RECORDS), len(TRUE)) == (5000, TRUE_LINKS)


@pytest.mark.timeout(600)
async def test_a_shared_national_id_unites_most_people(worker: Worker) -> None:
    accounts = await load(worker, national_id_identifies=True)
    united = {pair for held in accounts.values() for pair in combinations(sorted(held), 2)}
    figures = measured(united, TRUE)
    print(f"FEBRL 3, national_id as an identifier: {figures}")
    assert figures.precision >= 0.99
    assert figures.recall >= 0.8
    _, found = await suggested(worker, 0.99)
    for one in found:
        united.update(
            (min(a, b), max(a, b)) for a in accounts[one.profile_a] for b in accounts[one.profile_b]
        )
    figures = measured(united, TRUE)
    print(f"FEBRL 3, national_id as an identifier and suggestions at 0.99: {figures}")
    assert figures.precision >= 0.99
    assert figures.recall >= 0.95


async def suggested(worker: Worker, threshold: float) -> tuple[LinkRun, list[Suggestion]]:
    """A batch, completed, and what it suggests."""
    await request_links(worker.engine, threshold=threshold, who=Who("1", "ann"))
    assert await linker_on(worker.engine).serve_one(asyncio.Event())
    async with transaction(worker.engine) as tx:
        run = await link_runs.latest(tx)
        found = await link_suggestions.listed(tx, min_score=threshold, status="open", limit=10_000)
    assert run is not None
    assert run.status == "completed", run.problem
    assert run.suggestions == len(found)
    return run, found


@pytest.mark.timeout(600)
async def test_the_linker_finds_who_is_one_person(worker: Worker) -> None:
    accounts = await load(worker, national_id_identifies=False)
    assert len(accounts) == len(RECORDS)
    run, found = await suggested(worker, 0.9)
    assert run.profiles == len(RECORDS)
    for threshold in (0.9, 0.99, 0.999):
        pairs = {
            tuple(sorted((accounts[one.profile_a][0], accounts[one.profile_b][0])))
            for one in found
            if one.score >= threshold
        }
        figures = measured(pairs, TRUE)  # type: ignore[arg-type]  # two accounts each
        print(f"FEBRL 3, suggestions at {threshold}: {figures}; {run.pairs} pairs in blocks")
        if threshold == 0.99:
            assert figures.precision >= 0.99
            assert figures.recall >= 0.95
