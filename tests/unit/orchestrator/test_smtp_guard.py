"""The mail connector asks the address guard too; here it could reach nothing if it did not."""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.secret_files import SecretFolder, SecretMissing
from services.orchestrator.connectors.smtp import SmtpSender
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.domain.connector import Smtp
from services.orchestrator.domain.delivering import Claimed
from shared.contracts.action import Action, action_encoder
from shared.contracts.touchpoint import Identifier

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def claimed() -> Claimed:
    action = Action(
        action_id=str(UUID(int=1)), idempotency_key=str(UUID(int=1)), kind="send",
        profile_id="p", channel="email", category="legal", decision_id="d",
        to=Identifier("email", "ada@example.com"), content={"subject": "Hi", "body": "Hi"},
    )  # fmt: skip
    return Claimed(
        action_id=UUID(int=1), kind="send", channel="email", profile_id="p", test=False,
        queued_at=NOON, expires_at=None, tries=1, epoch=1, body=action_encoder.encode(action),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "port", "answers", "reason", "asked"),
    [
        ("mail.example.com", 25, ["10.0.0.5"], "address_refused_address", []),
        ("mail.example.com", 25, ["8.8.8.8", "127.0.0.1"], "address_refused_address", []),
        ("mail.example.com", 6379, ["8.8.8.8"], "address_refused_port", []),
        ("127.1", 25, [], "address_refused_host", []),
        ("169.254.169.254", 25, [], "address_refused_address", []),
        ("mail.example.com", 25, ["8.8.8.8", "1.1.1.1"], "no_connection",
         [("8.8.8.8", 25), ("1.1.1.1", 25)]),
    ],
)  # fmt: skip
async def test_a_mail_server_is_checked_like_a_webhook(
    host: str, port: int, answers: Sequence[str], reason: str, asked: list[tuple[str, int]]
) -> None:
    connected: list[tuple[str, int]] = []

    async def resolve(*_: object) -> Sequence[str]:
        return answers

    async def connect(address: str, to_port: int) -> socket.socket:
        connected.append((address, to_port))
        raise OSError("this is a test")

    async def no_link(_: Action) -> None:
        return None

    sender = SmtpSender(
        Outgoing(AddressPolicy(), resolve=resolve), SecretFolder(None), no_link, connect=connect
    )
    target = Smtp(host, port, "starttls", None, None, "shop@example.com", None,
                  timedelta(seconds=1))  # fmt: skip
    verdict = await sender.send(target, claimed())
    assert (verdict.reason, verdict.reached) == (reason, False)
    assert connected == asked


async def test_a_secret_is_a_file_and_its_text_is_in_no_error(tmp_path: Path) -> None:
    secrets = SecretFolder(tmp_path)
    for name, text in {
        "empty": " \n", "plain": "canary", "short": "whsec_YQ==", "bad": "whsec_canary!",
        "host": "mail.example.com canary two words", "binary": "\x00\xff",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text, encoding="latin-1")
    for ref in ("missing", "empty", "plain", "short", "bad", "../host", "/etc/passwd", "binary"):
        with pytest.raises(SecretMissing) as missing:
            await secrets.signing_keys(ref)
        assert "canary" not in str(missing.value)
    assert await secrets.password("host", "Mail.Example.com") == "canary two words"
    with pytest.raises(SecretMissing) as missing:
        await secrets.password("host", "evil.example.com")
    assert "canary" not in str(missing.value)
    with pytest.raises(SecretMissing):
        await SecretFolder(None).password("host", "mail.example.com")
