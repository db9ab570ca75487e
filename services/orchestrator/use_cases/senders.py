"""The sender of each connector, made for one channel."""

from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Protocol

from services.orchestrator.connectors.outgoing import Outgoing, Resolve
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.connectors.smtp import CANNOT_RETRACT, SmtpSender, Unsubscribe
from services.orchestrator.connectors.webhook import WebhookSender
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.connector import Smtp, Webhook
from services.orchestrator.domain.delivering import Claimed, Verdict


class Sender(Protocol):
    """Tries a delivery of its channel, once."""

    async def send(self, claimed: Claimed) -> Verdict:
        """How the try ended."""

    async def close(self) -> None:
        """Give back what it holds."""


@dataclass(frozen=True, slots=True)
class Senders:
    """Makes senders; `resolve` and `tls` are the system's unless a test says otherwise."""

    policy: AddressPolicy
    secrets_folder: Path | None
    unsubscribe: Unsubscribe
    resolve: Resolve | None = None
    tls: SSLContext | None = field(default=None)

    def sender(self, channel: Channel) -> Sender:
        """The sender for a channel of a built-in connector."""
        outgoing = Outgoing(self.policy, resolve=self.resolve)
        secrets = SecretFolder(self.secrets_folder)
        target = channel.target
        if isinstance(target, Webhook):
            reuse = channel.delivery == "at_least_once"
            return _Posting(target, WebhookSender(outgoing, secrets, reuse=reuse, tls=self.tls))
        if isinstance(target, Smtp):
            return _Mailing(target, SmtpSender(outgoing, secrets, self.unsubscribe, tls=self.tls))
        return _Filed()


class _Posting:
    def __init__(self, target: Webhook, webhook: WebhookSender) -> None:
        self._target, self._webhook = target, webhook

    async def send(self, claimed: Claimed) -> Verdict:
        return await self._webhook.send(self._target, claimed)

    async def close(self) -> None:
        await self._webhook.close()


class _Mailing:
    def __init__(self, target: Smtp, smtp: SmtpSender) -> None:
        self._target, self._smtp = target, smtp

    async def send(self, claimed: Claimed) -> Verdict:
        return await self._smtp.send(self._target, claimed)

    async def close(self) -> None:
        return None


class _Filed:
    """A line in a closed file cannot be taken back."""

    async def send(self, claimed: Claimed) -> Verdict:
        return CANNOT_RETRACT

    async def close(self) -> None:
        return None
