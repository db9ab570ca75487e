"""What is left over of a connector that a channel has no more, and of deliveries long ago."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.action_ids import fallback_id
from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.delivering import Claimed, Settled
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import deliveries, delivery_batches, delivery_work
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.delivering import QUICK, Delivering, action_id
from tests.integration.orchestrator.stage import Stage
from tests.support.receiver import Receiver, receiving
from tests.unit.orchestrator.build import action_id as sent_id
from tests.unit.orchestrator.build import email, profile_json, rule, uid

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEBHOOK = {"url": "https://hooks.example.com/", "secret_ref": "hook"}
PHONE = [{"type": "email", "value": "ada@b.c"}, {"type": "phone", "value": "+33612345678"}]
BOUGHT = {"exit_criteria": [{"event": "Order Completed"}]}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def rules(connector: str, **fields: Any) -> RuleSet:
    """One rule, whose channel has this connector now."""
    document: dict[str, Any] = {"connector": connector}
    if connector == "webhook":
        document["webhook"] = WEBHOOK
    channel = parse_channel(document, key="email", version=1)
    return RuleSet(epoch=1, rules=[rule(**fields)], policies=(), channels=[channel])


async def states(stage: Stage) -> list[tuple[str, str]]:
    rows = await stage.rows("SELECT kind, state FROM delivery ORDER BY kind DESC")
    return [tuple(row) for row in rows]


async def test_a_retraction_holds_whatever_the_connector_is(stage: Stage) -> None:
    stage.rules = rules("webhook", **BOUGHT)
    await stage.does("cart")
    assert await states(stage) == [("send", "waiting")]
    stage.rules = rules("kafka", **BOUGHT)
    await stage.does("bought", "Order Completed")
    assert await states(stage) == [("send", "withdrawn")]


async def test_what_waits_ends_on_a_channel_without_a_connector(
    deliver: Delivering, receiver: Receiver
) -> None:
    await deliver.channel("push", connector="kafka", retry=QUICK)
    await deliver.queue("a", channel="push", expires_in=HOUR)
    await deliver.queue("b", channel="push", expires_in=DAY)
    await deliver.stage.rows("UPDATE delivery SET reached = true RETURNING 1")
    assert await deliver.withdraw("b") == set()
    await deliver.start()
    await deliver.stage.advance(2 * HOUR)
    await deliver.becomes("a", "expired")
    await deliver.becomes("b", "failed no_connector", "retract")
    assert [event["type"] for event in await deliver.events("push")] == ["push.expired"]


async def test_a_file_that_was_begun_is_not_waited_for_for_ever(
    deliver: Delivering, receiver: Receiver
) -> None:
    await begun(deliver, "a")
    deliver.secret("hook")
    webhook = {"url": receiver.url, "secret_ref": "hook"}
    await deliver.channel("direct_mail", connector="webhook", webhook=webhook, retry=QUICK)
    await deliver.start()
    await deliver.becomes("a", "delivered")
    assert receiver.keys == [str(action_id("a"))]
    assert await deliver.stage.scalar("SELECT closed_at IS NOT NULL FROM delivery_batch") is True


async def test_a_file_that_was_begun_stays_in_its_folder(deliver: Delivering) -> None:
    await begun(deliver, "a")
    await deliver.channel("direct_mail", connector="file", file={"folder": "other"})
    await deliver.start()
    await deliver.becomes("a", "delivered")
    (path,) = deliver.folder.glob("files/*/*.csv")
    assert path.parent.name == "print"


async def begun(deliver: Delivering, *names: str) -> None:
    """A file whose lines were chosen, and whose writer died."""
    await deliver.channel("direct_mail", connector="file", file={"folder": "print"})
    await deliver.queue(*names, channel="direct_mail", line="x")
    now = await deliver.stage.now()
    async with transaction(deliver.stage.engine) as tx:
        day = now.date()
        taken = await delivery_batches.take(
            tx, "direct_mail", day=day, cut_off=now + HOUR, folder="print"
        )
        assert taken is not None
    await deliver.stage.rows(
        "UPDATE delivery_batch SET lease_until = now() - interval '1 s' RETURNING 1"
    )


async def test_what_is_under_way_does_not_arrive_beside_its_fallback(stage: Stage) -> None:
    sms = {"on": ["expired"], **email(channel="sms")}
    spec = email(expires_in="PT2H", fallback=[sms])
    stage.rules = rules("webhook", actions=[spec])
    await stage.does("cart", profile=profile_json(uid("ada"), identifiers=PHONE))
    await stage.rows(
        "UPDATE delivery SET state = 'claimed', lease_until = now() + interval '1 min' RETURNING 1"
    )
    await stage.advance(3 * HOUR)
    await stage.fire()
    (text,) = await stage.messages("actions.sms")
    assert text.value["action_id"] == str(fallback_id(sent_id("r", "cart"), 0))
    assert await states(stage) == [("send", "claimed"), ("retract", "waiting")]
    (row,) = await stage.rows("SELECT * FROM delivery WHERE kind = 'send'")
    claimed = Claimed(**{name: getattr(row, name) for name in Claimed.__slots__})
    end = Settled("waiting", "http_503", await stage.now())
    async with transaction(stage.engine) as tx:
        await delivery_work.settled(tx, claimed, end, reached=False)
    assert await states(stage) == [("send", "waiting"), ("retract", "withdrawn")]
    async with transaction(stage.engine) as tx:
        assert [one.action_id for one in await delivery_work.expire(tx, "email")] == [row.action_id]


@pytest.mark.parametrize("over", [False, True])
async def test_what_waits_when_something_else_is_done(deliver: Delivering, over: bool) -> None:
    """Its time is up: that is said, so that its contact is given back."""
    (id_,) = await deliver.queue("a", channel="push", expires_in=HOUR)
    if over:
        await deliver.stage.advance(2 * HOUR)
    async with transaction(deliver.stage.engine) as tx:
        await deliveries.supersede(tx, [id_])
    assert await deliver.state("a") == ("waiting" if over else "withdrawn")
    assert await deliver.state("a", "retract") is None


async def test_what_was_delivered_stays_beside_its_fallback(stage: Stage) -> None:
    sms = {"on": ["expired"], **email(channel="sms")}
    stage.rules = rules("webhook", actions=[email(expires_in="PT2H", fallback=[sms])])
    await stage.does("cart", profile=profile_json(uid("ada"), identifiers=PHONE))
    await stage.rows("UPDATE delivery SET state = 'delivered', reached = true RETURNING 1")
    await stage.advance(3 * HOUR)
    await stage.fire()
    assert await stage.kinds("sms") == ["send"]
    assert await states(stage) == [("send", "delivered")]


async def test_what_ended_long_ago_is_forgotten(deliver: Delivering) -> None:
    await deliver.queue("old", "waits", channel="push")
    await deliver.withdraw("old")
    for days, left in ((34, 2), (2, 1)):
        await deliver.stage.advance(days * DAY)
        async with transaction(deliver.stage.engine) as tx:
            await deliveries.forget(tx, after=35 * DAY, limit=10)
        assert await deliver.stage.scalar("SELECT count(*) FROM delivery") == left
    assert await deliver.state("waits") == "waiting"
