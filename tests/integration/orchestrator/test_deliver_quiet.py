"""A try that comes late asks for the person's quiet hours and consent again."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.orchestrator.storage.draft_kind import Kind
from shared.postgres import drafts
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.delivering import QUICK, Delivering, action_id
from tests.integration.orchestrator.stage import Stage
from tests.support.receiver import Answer, Call, Receiver, receiving
from tests.unit.orchestrator.build import profile_json, uid

HOUR = timedelta(hours=1)
ZONE = timedelta(hours=14)
"""Pacific/Kiritimati is so far ahead of UTC, the whole year."""


@pytest.fixture(autouse=True)
async def policies_end(deliver: Delivering, stage: Stage) -> AsyncIterator[None]:
    yield
    await deliver.stop()
    async with transaction(stage.engine) as tx:
        await tx.execute(text("TRUNCATE contact_policy, contact_policy_version"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def silent(stage: Stage, begins: datetime, ends: datetime, **more: Any) -> None:
    """Publish quiet hours between two instants, in the zone of the person."""
    there = [f"{at + ZONE:%H:%M}" for at in (begins, ends)]
    quiet = {"from": there[0], "to": there[1], **more}
    async with transaction(stage.engine) as tx:
        kind, key, at = Kind.CONTACT_POLICY, "default", begins
        await drafts.insert(tx, kind, key, {"quiet_hours": [quiet]}, at=at, by="test")
        made = await drafts.insert_version(tx, kind, key, at=at, by="test")
        live = drafts.Status.LIVE
        await drafts.set_status(tx, kind, key, live, version=made.version, at=at, by="test")
        await bump_epoch(tx)


async def prepared(deliver: Delivering, receiver: Receiver) -> None:
    """A channel whose first try fails, a person far in the east, and an action for her."""
    tried: set[str] = set()

    def script(call: Call) -> Answer:
        first = call.key not in tried
        tried.add(call.key)
        return Answer(503) if first else Answer()

    receiver.script = script
    deliver.secret("hook")
    webhook = {"url": receiver.url, "secret_ref": "hook"}
    retry = {**QUICK, "first": "PT2H", "longest": "PT2H", "give_up_after": "P1D"}
    await deliver.channel("push", connector="webhook", webhook=webhook, retry=retry)
    snapshot = profile_json(uid("ada"), timezone="Pacific/Kiritimati")
    await deliver.stage.does("seen", profile=snapshot)
    await deliver.stage.rows(
        "UPDATE profile_state SET in_flight = 1, snapshot = convert_to(:snapshot, 'UTF8')"
        " RETURNING 1", snapshot=json.dumps(snapshot),
    )  # fmt: skip


async def test_a_retry_waits_for_the_end_of_the_night(
    deliver: Delivering, receiver: Receiver
) -> None:
    await prepared(deliver, receiver)
    now = await deliver.stage.now()
    await silent(deliver.stage, now + HOUR, now + 9 * HOUR)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "waiting http_503")
    await deliver.stage.advance(2 * HOUR)
    await deliver.becomes("a", "waiting quiet_hours")
    assert len(receiver.calls) == 1
    row = (await deliver.stage.rows("SELECT due_at, tries FROM delivery"))[0]
    assert now + 9 * HOUR - timedelta(minutes=1) <= row.due_at <= now + 9 * HOUR
    assert row.tries == 1
    await deliver.stage.advance(7 * HOUR)
    await deliver.becomes("a", "delivered")


async def test_a_retry_ends_in_a_night_that_discards(
    deliver: Delivering, receiver: Receiver
) -> None:
    await prepared(deliver, receiver)
    now = await deliver.stage.now()
    await silent(deliver.stage, now + HOUR, now + 9 * HOUR, action="discard")
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "waiting http_503")
    await deliver.stage.advance(2 * HOUR)
    await deliver.becomes("a", "failed quiet_hours")
    (event,) = await deliver.events("push")
    assert event["properties"] == {"action_id": str(action_id("a")), "reason": "quiet_hours"}
    assert len(receiver.calls) == 1
