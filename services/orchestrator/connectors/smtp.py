"""Hands e-mails to a mail server over SMTP, one connection for each mail.

Until the content is on its way nobody can have the mail; what the server answers then is its word
for it, and only silence leaves it open whether it has it.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

import aiosmtplib

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.secret_files import SecretFolder, SecretMissing
from services.orchestrator.domain.address_guard import AddressRefused
from services.orchestrator.domain.connector import Smtp
from services.orchestrator.domain.delivering import DELIVERED, Claimed, Verdict
from services.orchestrator.domain.mail import Mail, MailRefused, make_mail
from shared import clock
from shared.contracts.action import Action, action_decoder
from shared.errors import Infrastructure

logger = logging.getLogger(__name__)

CANNOT_RETRACT = Verdict("failed", "cannot_retract")
FIRST_PERMANENT = 500

Unsubscribe = Callable[[Action], Awaitable[str | None]]
"""The link by which the person leaves; None where there is none. Raises Infrastructure."""
Connect = Callable[[str, int], Awaitable[socket.socket]]
"""A socket connected to an address that was checked. Raises OSError."""


async def connect_socket(address: str, port: int) -> socket.socket:
    """A socket connected to the address. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
    except BaseException:
        connection.close()
        raise
    return connection


class SmtpSender:
    """The mail server of one channel."""

    def __init__(
        self,
        outgoing: Outgoing,
        secrets: SecretFolder,
        unsubscribe: Unsubscribe,
        *,
        tls: ssl.SSLContext | None = None,
        connect: Connect = connect_socket,
    ) -> None:
        self._outgoing = outgoing
        self._secrets = secrets
        self._unsubscribe = unsubscribe
        self._tls = tls or ssl.create_default_context()
        self._connect = connect

    async def send(self, target: Smtp, claimed: Claimed) -> Verdict:
        """Hand it over once; how that ended. A mail cannot be taken back."""
        if claimed.kind != "send":
            return CANNOT_RETRACT
        action = action_decoder.decode(claimed.body)
        try:
            mail = make_mail(
                action,
                sender=target.sender,
                reply_to=target.reply_to,
                unsubscribe=await self._unsubscribe(action),
                now=clock.now(),
                test=claimed.test,
            )
            password = await self._password(target)
        except MailRefused as refused:
            return Verdict("bounced" if str(refused) == "bad_address" else "failed", str(refused))
        except SecretMissing as missing:
            logger.error("channel %s: secret %s", claimed.channel, missing)
            return Verdict("later", "secret_missing", healthy=False)
        except Infrastructure as error:
            logger.warning("channel %s: no link of preferences: %s", claimed.channel, error)
            return Verdict("later", "no_preference_link")
        return await self._transfer(target, mail, password)

    async def _password(self, target: Smtp) -> str | None:
        if target.password_ref is None:
            return None
        return await self._secrets.password(target.password_ref, target.host)

    async def _transfer(self, target: Smtp, mail: Mail, password: str | None) -> Verdict:
        transfer = _Transfer(target, mail, password, self._tls)
        try:
            async with asyncio.timeout(target.timeout.total_seconds()):
                return await transfer.run(await self._open(target))
        except AddressRefused as refused:
            return Verdict("failed", f"address_refused_{refused.rule}")
        except aiosmtplib.SMTPAuthenticationError as error:
            return Verdict("later", f"smtp_{error.code}", healthy=False)
        except aiosmtplib.SMTPResponseException as error:
            return _answered(error, transfer)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _answered(error.recipients[0], transfer)
        except aiosmtplib.SMTPNotSupported:
            return Verdict("failed", "no_starttls", healthy=False)
        except TimeoutError:
            return Verdict("again", "timeout", reached=transfer.sending, healthy=False)
        except (aiosmtplib.SMTPException, OSError):
            reason = "connection_lost" if transfer.sending else "no_connection"
            return Verdict("again", reason, reached=transfer.sending, healthy=False)
        finally:
            transfer.close()

    async def _open(self, target: Smtp) -> socket.socket:
        addresses = await self._outgoing.mail_addresses(target.host, target.port)
        for address in addresses[:-1]:
            try:
                return await self._connect(address, target.port)
            except OSError:
                continue
        return await self._connect(addresses[-1], target.port)


class _Transfer:
    """One mail over one connection; `sending` once its content is on its way."""

    def __init__(self, target: Smtp, mail: Mail, password: str | None, tls: ssl.SSLContext) -> None:
        self.sending = False
        self._target = target
        self._mail = mail
        self._password = password
        self._tls = tls
        self._client: aiosmtplib.SMTP | None = None

    async def run(self, connection: socket.socket) -> Verdict:
        target, mail = self._target, self._mail
        client = self._client = aiosmtplib.SMTP(
            hostname=target.host,
            sock=connection,
            local_hostname=mail.sender.rpartition("@")[2],
            timeout=target.timeout.total_seconds(),
            use_tls=target.tls == "tls",
            start_tls=target.tls == "starttls",
            tls_context=None if target.tls == "none" else self._tls,
        )
        await client.connect()
        if target.username is not None and self._password is not None:
            await client.login(target.username, self._password)
        await client.mail(mail.sender)
        await client.rcpt(mail.to)
        self.sending = True
        await client.data(mail.content)
        return DELIVERED

    def close(self) -> None:
        """End the connection without ceremony: what was to be said is said."""
        if self._client is not None:
            self._client.close()


_ABOUT_US = (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPHeloError)


def _answered(error: aiosmtplib.SMTPResponseException, transfer: _Transfer) -> Verdict:
    """4xx: not now; 5xx: never. What is said of the recipient or the content is a bounce; a server
    that does not want us at all may want us later."""
    reason = f"smtp_{error.code}"
    aimed = isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
    if error.code >= FIRST_PERMANENT and aimed:
        return Verdict("bounced", reason, healthy=True)
    if error.code >= FIRST_PERMANENT and isinstance(error, _ABOUT_US):
        return Verdict("failed", reason, healthy=False)
    if error.code < 0:  # the connection broke before an answer came
        return Verdict("again", "connection_lost", reached=transfer.sending, healthy=False)
    return Verdict("again", reason, healthy=aimed)
