"""One company for all scenarios, whose clock only ever goes forward."""

from collections.abc import AsyncIterator

import pytest

from tests.acceptance.concert import concert_on
from tests.acceptance.scenarios.company import POLICY, Company
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack


@pytest.fixture(scope="package")
async def running(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Company]:
    """Every role, with two workers of the orchestrator, and the company's contact policy."""
    home = tmp_path_factory.mktemp("company")
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
        concert_on(stack, database, topics, home) as concert,
    ):
        await concert.start()
        company = Company(concert)
        await company.publish("contact-policies", "default", POLICY)
        yield company


@pytest.fixture
async def company(running: Company) -> Company:
    """At ten in the morning, when nobody is asleep."""
    await running.until_clock(10)
    return running
