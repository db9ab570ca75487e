"""Webhooks delivered to a real receiver that fails in every way a receiver can."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.orchestrator.domain.delivering import retraction_of
from services.orchestrator.storage import deliveries, delivery_work, erasures
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.delivering import (
    QUICK,
    SECRET,
    Delivering,
    action_id,
)
from tests.support.eventually import eventually
from tests.support.receiver import HANG, RESET, Answer, Call, Receiver, Script, receiving
from tests.unit.orchestrator.build import uid

OTHER_SECRET = "whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def first_time(then: Answer | str) -> Script:
    """Answers so the first time that a key comes, with 200 afterwards."""
    seen: set[str] = set()

    def script(call: Call) -> Answer | str:
        if call.key in seen:
            return Answer()
        seen.add(call.key)
        return then

    return script


async def serve(deliver: Delivering, receiver: Receiver, **document: Any) -> None:
    """A webhook channel `push` that calls the receiver."""
    deliver.secret("hook")
    webhook = {"url": receiver.url, "secret_ref": "hook", "timeout": "PT1S"}
    await deliver.channel("push", **{
        "connector": "webhook", "webhook": webhook, "retry": QUICK, **document,
    })  # fmt: skip


async def test_is_posted_once_signed_and_said(deliver: Delivering, receiver: Receiver) -> None:
    deliver.secret("hook", f"{OTHER_SECRET}\n{SECRET}")
    webhook = {"url": receiver.url, "secret_ref": "hook"}
    await deliver.channel("push", connector="webhook", webhook=webhook)
    await deliver.queue("a", channel="push", title="Hello")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    (call,) = receiver.calls
    for secret in (SECRET, OTHER_SECRET):
        body = Webhook(secret).verify(call.body, call.headers)
        assert body["action_id"] == body["idempotency_key"] == call.key == str(action_id("a"))
    assert body["content"] == {"title": "Hello"}
    (event,) = await deliver.events("push")
    assert event["type"] == "push.delivered"
    assert event["id"] == f"delivery:{action_id('a')}:delivered"
    assert event["properties"] == {"action_id": str(action_id("a"))}
    assert event["identifiers"][0]["type"] == "profile_id"


@pytest.mark.parametrize(
    "once", [Answer(500), Answer(503), Answer(429, ("retry-after: 1",)), RESET, HANG]
)
async def test_is_tried_again_under_the_same_key(
    deliver: Delivering, receiver: Receiver, once: Answer | str
) -> None:
    receiver.script = first_time(once)
    await serve(deliver, receiver)
    names = [f"n{n}" for n in range(4)]
    await deliver.queue(*names, channel="push")
    await deliver.start()
    for name in names:
        await deliver.becomes(name, "delivered", within=20)
    tries = Counter(receiver.keys)
    assert set(tries) == {str(action_id(name)) for name in names}
    assert set(tries.values()) == {2}
    assert len(await deliver.events("push")) == len(names)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer(500), "http_500"), (Answer(429), "http_429"), (RESET, "connection_lost"),
     (HANG, "timeout")],
)  # fmt: skip
async def test_at_most_once_is_never_tried_again(
    deliver: Delivering, receiver: Receiver, answer: Answer | str, reason: str
) -> None:
    receiver.script = lambda _: answer
    await serve(deliver, receiver, delivery="at_most_once")
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", f"failed {reason}")
    await asyncio.sleep(1)
    assert len(receiver.calls) == 1
    (event,) = await deliver.events("push")
    assert (event["type"], event["properties"]["reason"]) == ("push.failed", reason)


async def test_other_refusals_are_final_and_redirects_not_followed(
    deliver: Delivering, receiver: Receiver
) -> None:
    elsewhere = Answer(302, (f"location: http://127.0.0.1:{receiver.port}/other",))
    receiver.script = lambda call: elsewhere if call.key == str(action_id("a")) else Answer(400)
    await serve(deliver, receiver)
    await deliver.queue("a", "b", channel="push")
    await deliver.start()
    await deliver.becomes("a", "failed http_302")
    await deliver.becomes("b", "failed http_400")
    assert [call.path for call in receiver.calls] == ["/hooks/concert"] * 2


async def test_gives_up_after_so_many_tries(deliver: Delivering, receiver: Receiver) -> None:
    receiver.script = lambda _: Answer(500)
    await serve(deliver, receiver, retry={**QUICK, "tries": 3})
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "failed http_500", within=20)
    assert len(receiver.calls) == 3


async def test_gone_switches_the_channel_off(deliver: Delivering, receiver: Receiver) -> None:
    receiver.script = lambda _: Answer(410)
    await serve(deliver, receiver)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "failed http_410")
    await asyncio.sleep(1.2)
    await deliver.queue("b", channel="push")
    await asyncio.sleep(0.8)
    assert await deliver.state("b") == "waiting"
    assert len(receiver.calls) == 1
    (who,) = await deliver.stage.rows(
        "SELECT who_name FROM audit_log WHERE kind = 'channel' ORDER BY id DESC LIMIT 1"
    )
    assert "410" in who.who_name


async def test_what_is_queued_waits_while_the_channel_is_off(
    deliver: Delivering, receiver: Receiver
) -> None:
    await serve(deliver, receiver, enabled=False)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await asyncio.sleep(1)
    assert (await deliver.state("a"), receiver.calls) == ("waiting", [])
    await serve(deliver, receiver)
    await deliver.becomes("a", "delivered")


async def test_expired_is_not_sent(deliver: Delivering, receiver: Receiver) -> None:
    await serve(deliver, receiver, enabled=False)
    await deliver.queue("a", channel="push", expires_in=timedelta(minutes=1))
    await deliver.stage.advance(timedelta(minutes=2))
    await deliver.start()
    await deliver.becomes("a", "expired")
    assert receiver.calls == []
    assert [event["type"] for event in await deliver.events("push")] == ["push.expired"]


async def test_withdrawn_before_the_claim_is_not_sent(
    deliver: Delivering, receiver: Receiver
) -> None:
    await serve(deliver, receiver)
    (id_,) = await deliver.queue("a", channel="push")
    assert await deliver.withdraw("a", "unknown") == {id_}
    await deliver.start()
    await asyncio.sleep(1)
    assert (await deliver.state("a"), await deliver.state("a", "retract")) == ("withdrawn", None)
    assert receiver.calls == []


async def test_withdrawn_after_the_send_is_retracted(
    deliver: Delivering, receiver: Receiver
) -> None:
    await serve(deliver, receiver)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    assert await deliver.withdraw("a") == set()
    await deliver.becomes("a", "delivered", "retract")
    told = json.loads(receiver.calls[1].body)
    assert receiver.calls[1].key == told["idempotency_key"] == f"{action_id('a')}:retract"
    assert (told["kind"], told["action_id"]) == ("retract", str(action_id("a")))
    assert "content" not in told
    assert len(await deliver.events("push")) == 1


async def test_withdrawn_during_the_send_is_not_tried_again_but_retracted(
    deliver: Delivering, receiver: Receiver
) -> None:
    receiver.script = lambda call: Answer() if call.key.endswith(":retract") else HANG
    await serve(deliver, receiver)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await eventually(lambda: receiver.calls, within=5)
    assert await deliver.withdraw("a") == set()
    await deliver.becomes("a", "delivered", "retract")
    assert (await deliver.state("a") or "").startswith("withdrawn")
    assert [json.loads(call.body)["kind"] for call in receiver.calls] == ["send", "retract"]


async def test_the_rate_holds(deliver: Delivering, receiver: Receiver) -> None:
    await serve(deliver, receiver, rate={"limit": 5, "per": "PT2S"})
    await deliver.queue(*[f"n{n}" for n in range(12)], channel="push")
    came: list[float] = []

    def note(_: Call) -> Answer:
        came.append(time.monotonic())
        return Answer()

    receiver.script = note
    await deliver.start()
    await eventually(lambda: len(came) == 12, within=20)
    for first, sixth in zip(came, came[5:], strict=False):
        assert sixth - first > 1.9


async def test_the_circuit_opens_and_closes(deliver: Delivering, receiver: Receiver) -> None:
    receiver.script = lambda _: Answer(500)
    await serve(deliver, receiver, retry={**QUICK, "tries": 50})
    await deliver.queue(*[f"n{n}" for n in range(5)], channel="push")
    await deliver.start()
    await eventually(lambda: len(receiver.calls) >= 5, within=5)
    await asyncio.sleep(1.5)
    seen = len(receiver.calls)
    await asyncio.sleep(1.5)
    assert len(receiver.calls) == seen, "the circuit is open"
    receiver.script = lambda _: Answer()
    await deliver.stage.scalar("UPDATE delivery_channel SET blocked_until = now() RETURNING 1")
    for n in range(5):
        await deliver.becomes(f"n{n}", "delivered")
    assert await deliver.stage.scalar("SELECT failures + opened FROM delivery_channel") == 0


async def test_a_missing_secret_costs_no_try(deliver: Delivering, receiver: Receiver) -> None:
    webhook = {"url": receiver.url, "secret_ref": "nowhere"}
    await deliver.channel("push", connector="webhook", webhook=webhook, retry=QUICK)
    await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "waiting secret_missing")
    assert await deliver.stage.scalar("SELECT tries FROM delivery") == 0
    assert receiver.calls == []


async def test_a_hanging_channel_holds_no_other_up(deliver: Delivering, receiver: Receiver) -> None:
    came: dict[str, float] = {}

    def script(call: Call) -> Answer | str:
        if call.path == "/hang":
            return HANG
        came[call.key] = time.monotonic()
        return Answer()

    receiver.script = script
    await serve(deliver, receiver)
    hanging = {"url": receiver.url.replace("/hooks/concert", "/hang"), "secret_ref": "hook",
               "timeout": "PT4S"}  # fmt: skip
    await deliver.channel("sms", connector="webhook", webhook=hanging)
    await deliver.start()

    async def delay(round_: str) -> float:
        """The longest of ten deliveries, in seconds."""
        longest = 0.0
        for n in range(10):
            began = time.monotonic()
            await deliver.queue(f"{round_}{n}", channel="push")
            key = str(action_id(f"{round_}{n}"))
            await eventually(partial(came.get, key), within=5, every=0.005)
            longest = max(longest, came[key] - began)
        return longest

    alone = await delay("alone")
    await deliver.queue(*[f"hang{n}" for n in range(100)], channel="sms")
    await eventually(lambda: sum(call.path == "/hang" for call in receiver.calls) >= 16, within=5)
    beside = await delay("beside")
    print(
        f"longest of ten deliveries: {alone:.3f} s alone, {beside:.3f} s beside a hanging channel"
    )
    assert beside < alone + 0.3


async def test_an_abandoned_claim_comes_round_by_its_lease(
    deliver: Delivering, receiver: Receiver
) -> None:
    """What a process that died leaves behind."""
    await serve(deliver, receiver)
    await deliver.channel(
        "sms", connector="webhook", delivery="at_most_once",
        webhook={"url": receiver.url, "secret_ref": "hook"},
    )  # fmt: skip
    await deliver.queue("again", channel="push")
    await deliver.queue("once", channel="sms")
    await deliver.stage.rows(
        "UPDATE delivery SET state = 'claimed', tries = 1, lease_until = now() - interval '1 s'"
        " RETURNING 1"
    )
    await deliver.start()
    await deliver.becomes("again", "delivered")
    await deliver.becomes("once", "failed unknown")
    assert receiver.keys == [str(action_id("again"))]
    (event,) = await deliver.events("sms")
    assert (event["type"], event["properties"]["reason"]) == ("sms.failed", "unknown")


async def test_nothing_secret_is_written_or_shown(
    deliver: Delivering, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receiver.script = lambda _: Answer(400, body=b"canary-of-the-receiver")
    await serve(deliver, receiver)
    await deliver.queue("a", channel="push", title="canary-of-the-content")
    await deliver.start()
    await deliver.becomes("a", "failed http_400")
    kept = str(await deliver.stage.rows("SELECT * FROM audit_log"))
    kept += str(await deliver.stage.rows("SELECT * FROM channel_version"))
    for secret in (SECRET, SECRET.removeprefix("whsec_"), "canary-of-the-receiver"):
        assert secret not in caplog.text
        assert secret not in kept
    assert "canary-of-the-content" not in caplog.text


async def test_what_waits_is_measured(deliver: Delivering, receiver: Receiver) -> None:
    await serve(deliver, receiver, enabled=False)
    await deliver.queue("a", "b", channel="push")
    await deliver.stage.advance(timedelta(minutes=5))
    async with transaction(deliver.stage.engine) as tx:
        waiting = await delivery_work.waiting(tx, ["push", "sms"])
        assert await delivery_work.circuits(tx) == {}
    count, oldest = waiting["push"]
    assert (count, waiting["sms"]) == (2, (0, 0.0))
    assert 300 <= oldest < 330


async def test_the_channel_is_told_of_an_erasure(deliver: Delivering, receiver: Receiver) -> None:
    await serve(deliver, receiver)
    (sent,) = await deliver.queue("a", channel="push")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    await serve(deliver, receiver, enabled=False)
    await asyncio.sleep(1.2)
    (waiting,) = await deliver.queue("b", channel="push")
    person = [uid("ada")]
    async with transaction(deliver.stage.engine) as tx:
        told = partial(retraction_of, reason="erased")
        await deliveries.tell_of_erasure(tx, person, [sent, waiting], told)
        await erasures.forget(tx, person, person)
    rows = await deliver.stage.rows("SELECT * FROM delivery")
    assert [(row.action_id, row.kind, row.profile_id.int) for row in rows] == [(sent, "retract", 0)]
    assert b"ada@example.com" not in rows[0].body
    await serve(deliver, receiver)
    await deliver.becomes("a", "delivered", "retract")
    assert [json.loads(call.body)["kind"] for call in receiver.calls] == ["send", "retract"]
    assert json.loads(receiver.calls[1].body)["reason"] == "erased"
