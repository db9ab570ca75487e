"""What a receiver says with its status holds, however its answer goes on."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.connectors.webhook import WebhookSender
from services.orchestrator.domain.address_guard import read_policy
from services.orchestrator.domain.connector import Webhook
from services.orchestrator.domain.delivering import Claimed
from tests.support.receiver import HANG, Answer, receiving
from tests.unit.orchestrator.build import uid

SECRET = "whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="


@pytest.fixture
def sender(tmp_path: Path) -> WebhookSender:
    (tmp_path / "hook").write_text(SECRET)
    policy = read_policy(http=True, networks="127.0.0.0/8")
    return WebhookSender(Outgoing(policy), SecretFolder(tmp_path), reuse=True)


def claimed() -> Claimed:
    return Claimed(
        action_id=UUID(uid("action")),
        kind="send",
        channel="push",
        profile_id=uid("ada"),
        test=False,
        queued_at=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at=None,
        tries=1,
        epoch=1,
        body=b"{}",
    )


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(200, drips=True), "delivered"),
        (Answer(200, endless=True), "delivered"),
        (Answer(200, body=b"x" * 100_000), "delivered"),
        (Answer(400, drips=True), "failed"),
        (Answer(503, ("retry-after: 7",), drips=True), "again"),
    ],
)
@pytest.mark.parametrize("seconds", [0.5, 15.0])
async def test_a_body_that_does_not_end_changes_nothing(
    sender: WebhookSender, answer: Answer, state: str, seconds: float
) -> None:
    """Else what was taken is sent again, and at last called failed."""
    async with receiving() as receiver:
        receiver.script = lambda _: answer
        target = Webhook(receiver.url, "hook", timedelta(seconds=seconds))
        began = time.monotonic()
        verdict = await sender.send(target, claimed())
        assert (verdict.result, verdict.reason) != ("again", "timeout")
        assert verdict.result == state
        if answer.status == 503:
            assert (verdict.reason, verdict.retry_after) == ("http_503", timedelta(seconds=7))
        assert time.monotonic() - began < 3
        receiver.script = lambda _: Answer()
        again = await sender.send(target, claimed())
        assert again.result == "delivered"
        assert receiver.connections == 2, "what was not read to its end is used again"
        await sender.send(target, claimed())
        assert receiver.connections == 2, "what was read to its end is not used again"
        await sender.close()


async def test_no_answer_is_a_timeout(sender: WebhookSender) -> None:
    async with receiving() as receiver:
        receiver.script = lambda _: HANG
        verdict = await sender.send(
            Webhook(receiver.url, "hook", timedelta(seconds=0.2)), claimed()
        )
        assert (verdict.result, verdict.reason) == ("again", "timeout")
        await sender.close()
