"""A real mail server on loopback that refuses, hangs and breaks off as a test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HANG, RESET = "hang", "reset"
Say = Callable[[str], str | None]
"""What to answer to an address or a message id; None: take it."""


@dataclass
class MailServer:
    """What came, and what is said: to recipients, and to contents."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    to: Say = field(default=lambda _: None)
    content: Say = field(default=lambda _: None)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer to a recipient."""
        said = self.to(address)
        if said is not None:
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer to a content."""
        message = message_from_bytes(envelope.content or b"", policy=default)  # type: ignore[arg-type]
        assert isinstance(message, EmailMessage)
        self.seen.append(str(message["Message-ID"]))
        said = self.content(str(message["Message-ID"]))
        if said == HANG:
            await asyncio.sleep(600)
        if said == RESET:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "451 gone"
        if said is None:
            self.mails.append(message)
        return said or "250 OK"

    def login(self, *given: Any) -> AuthResult:
        """Take any password, and remember it."""
        data = given[-1]
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False
) -> AsyncIterator[MailServer]:
    """A server on a free port; with `tls` it offers STARTTLS, or speaks TLS at once."""
    made = MailServer()
    started: list[SMTP] = []

    def protocol() -> SMTP:
        smtp = SMTP(
            made,
            hostname="mail.test",
            tls_context=None if implicit else tls,
            authenticator=made.login,
            auth_require_tls=not implicit,
        )
        started.append(smtp)
        return smtp

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for smtp in started:
            if isinstance(smtp.transport, asyncio.Transport):
                smtp.transport.abort()
