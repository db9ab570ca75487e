"""E-mails handed to a real mail server that refuses, hangs and breaks off."""

import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.touchpoint import Identifier
from tests.integration.orchestrator.delivering import QUICK, Delivering, action_id
from tests.support.mail_server import HANG, RESET, MailServer, mail_server

LINK = "https://concert.example.com/preferences/abc"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        yield made


async def serve(deliver: Delivering, server: MailServer, **document: Any) -> None:
    """The channel `email`, through the server."""
    smtp = {"host": "127.0.0.1", "port": server.port, "tls": "none", "timeout": "PT1S",
            "from": "Shop <shop@example.com>", **document.pop("smtp", {})}  # fmt: skip
    await deliver.channel("email", **{
        "connector": "smtp", "smtp": smtp, "retry": QUICK, **document,
    })  # fmt: skip


def message_id(name: str) -> str:
    return f"<{action_id(name)}@example.com>"


async def test_a_mail_arrives_whole(deliver: Delivering, server: MailServer) -> None:
    deliver.unsubscribe_url = LINK
    await serve(deliver, server)
    await deliver.queue("a", subject="Grüße 😀", body="Zeile\n.\nEnde", html="<p>Zeile</p>")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    (mail,) = server.mails
    assert mail["Subject"] == "Grüße 😀"
    assert (mail["To"], mail["From"]) == ("ada@example.com", "Shop <shop@example.com>")
    assert mail["Message-ID"] == message_id("a")
    assert mail["List-Unsubscribe"] == f"<{LINK}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Zeile", ".", "Ende"]
    (event,) = await deliver.events()
    assert event["type"] == "email.delivered"


@pytest.mark.parametrize("what", ["to", "content"])
async def test_refusals_for_good_bounce_others_are_tried_again(
    deliver: Delivering, server: MailServer, what: str
) -> None:
    said: dict[str, int] = Counter()

    def say(about: str) -> str | None:
        said[about] += 1
        if "never" in about or about == message_id("never"):
            return "550 5.1.1 no such user"
        return "451 4.7.1 later" if said[about] == 1 else None

    setattr(server, what, say)
    await serve(deliver, server)
    await deliver.queue("never", to=Identifier("email", "never@example.com"))
    await deliver.queue("later", to=Identifier("email", "later@example.com"))
    await deliver.start()
    await deliver.becomes("never", "bounced smtp_550")
    await deliver.becomes("later", "delivered")
    assert [str(mail["Message-ID"]) for mail in server.mails] == [message_id("later")]
    outcomes = {event["type"]: event["properties"] for event in await deliver.events()}
    assert outcomes["email.bounced"]["reason"] == "smtp_550"
    assert set(outcomes) == {"email.bounced", "email.delivered"}


@pytest.mark.parametrize("how", [HANG, RESET])
@pytest.mark.parametrize("promise", ["at_least_once", "at_most_once"])
async def test_silence_is_tried_again_under_the_same_id_or_never(
    deliver: Delivering, server: MailServer, how: str, promise: str
) -> None:
    seen: set[str] = set()

    def once(about: str) -> str | None:
        known = about in seen
        seen.add(about)
        return None if known else how

    server.content = once
    await serve(deliver, server, delivery=promise)
    await deliver.queue("a")
    await deliver.start()
    if promise == "at_least_once":
        await deliver.becomes("a", "delivered")
        assert server.seen == [message_id("a")] * 2
    else:
        reason = "timeout" if how == HANG else "connection_lost"
        await deliver.becomes("a", f"failed {reason}")
        assert server.seen == [message_id("a")]


async def test_what_is_no_mail_bounces_or_fails(deliver: Delivering, server: MailServer) -> None:
    await serve(deliver, server)
    await deliver.queue("address", to=Identifier("email", "a@b.de\r\nRCPT TO:<x@y.de>"))
    await deliver.queue("header", subject="Hi\r\nBcc: all@example.com", body="x")
    await deliver.queue("body", subject="Hi")
    await deliver.start()
    await deliver.becomes("address", "bounced bad_address")
    await deliver.becomes("header", "failed bad_subject")
    await deliver.becomes("body", "failed no_body")
    assert server.seen == []


async def test_a_mail_cannot_be_taken_back(deliver: Delivering, server: MailServer) -> None:
    await serve(deliver, server)
    await deliver.queue("a")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    await deliver.withdraw("a")
    await deliver.becomes("a", "failed cannot_retract", "retract")
    assert len(server.mails) == len(await deliver.events()) == 1


async def test_a_test_says_so_and_tells_nobody(deliver: Delivering, server: MailServer) -> None:
    await serve(deliver, server)
    await deliver.queue("a", test=True, subject="Hi", body="x")
    await deliver.start()
    await deliver.becomes("a", "delivered")
    assert server.mails[0]["Subject"] == "[Test] Hi"
    assert await deliver.events() == []


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_tls_is_verified_and_the_password_is_for_its_host(
    deliver: Delivering, tmp_path: Path, tls: str
) -> None:
    context, trusting = certificates(tmp_path)
    async with mail_server(tls=context, implicit=tls == "tls") as server:
        login = {"tls": tls, "username": "shop", "password_ref": "mail"}
        await serve(deliver, server, smtp=login)
        deliver.secret("mail", "elsewhere.example.com canary-password")
        await deliver.queue("a")
        await deliver.start()
        await deliver.becomes("a", "waiting secret_missing")
        deliver.secret("mail", "127.0.0.1 canary-password")
        await deliver.queue("b")
        await deliver.stage.scalar("UPDATE delivery_channel SET blocked_until = NULL RETURNING 1")
        await deliver.becomes("b", "waiting no_connection")
        assert (server.mails, server.logins) == ([], [])
        await deliver.stop()
        deliver.tls = trusting
        deliver.stopping.clear()
        deliver.tasks.clear()
        await deliver.stage.rows("UPDATE delivery SET due_at = now() RETURNING 1")
        await deliver.stage.scalar("UPDATE delivery_channel SET blocked_until = NULL RETURNING 1")
        await deliver.start()
        await deliver.becomes("b", "delivered")
        assert set(server.logins) == {("shop", "canary-password")}


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of a server with a certificate of its own, and of a client that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
