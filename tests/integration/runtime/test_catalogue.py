"""Topics that are wanted are made at once, before anything is written to them."""

import pytest

from shared.contracts.topics import Topics
from shared.kafka import catalogue as module
from shared.kafka.catalogue import Catalogue
from tests.support.kafka import new_prefix, standard_topics
from tests.support.stack import Stack


async def test_what_is_missing_is_made_together_and_is_there_at_once(stack: Stack) -> None:
    async with standard_topics(stack.kafka, new_prefix(), partitions=2) as topics:
        catalogue = Catalogue(stack.kafka, client_id="test", topics=topics)
        wanted = [topics.actions(f"new_{number}") for number in range(12)]
        try:
            await catalogue.ensure([*wanted, topics.actions("web")])
            assert wanted[0] in catalogue.known
            catalogue.counts.require(wanted)
            assert [catalogue.counts.of(topic) for topic in wanted] == [8] * 12
            assert catalogue.counts.of(topics.actions("web")) == 2
            assert not catalogue.counts.missing
        finally:
            await catalogue.close()


async def test_without_kafka_it_is_only_said_and_remembered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ENSURE_SECONDS", 1.0)
    catalogue = Catalogue("127.0.0.1:9", client_id="test", topics=Topics())
    await catalogue.ensure(["actions.fax"])
    await catalogue.close()
    assert "topics are not there yet: actions.fax" in caplog.text
    assert catalogue.counts.missing == {"actions.fax"}
