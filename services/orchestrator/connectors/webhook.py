"""Posts actions to a webhook, signed as Standard Webhooks has it. Follows no redirect."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpcore

from services.orchestrator.connectors.outgoing import Outgoing, PinnedBackend
from services.orchestrator.connectors.secret_files import SecretFolder, SecretMissing
from services.orchestrator.domain.address_guard import AddressRefused, Url, check_scheme, read_url
from services.orchestrator.domain.connector import Webhook
from services.orchestrator.domain.delivering import DELIVERED, Claimed, Verdict, message_of
from services.orchestrator.domain.webhook_signature import signed_headers
from shared import clock

MAX_ANSWER = 64 * 1024
AGENT = "Concert-Webhooks/1"
CONNECTIONS = 32
IDLE_SECONDS = 15.0
MAX_RETRY_AFTER = timedelta(days=1)
TOO_MANY, GONE = 429, 410

logging.getLogger("httpcore").setLevel(logging.WARNING)
"""At DEBUG it would write addresses and headers of receivers."""


class WebhookSender:
    """The webhook of one channel. `reuse` keeps connections; a channel that may send once opens
    a new one each time, for an old one can break without saying when."""

    def __init__(
        self,
        outgoing: Outgoing,
        secrets: SecretFolder,
        *,
        reuse: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._outgoing = outgoing
        self._secrets = secrets
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS if reuse else 0,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=PinnedBackend(outgoing),
        )

    async def send(self, target: Webhook, claimed: Claimed) -> Verdict:
        """Post it once; how that ended. Raises nothing that the receiver could cause."""
        try:
            url = read_url(target.url)
            check_scheme(url, self._outgoing.policy)
            keys = await self._secrets.signing_keys(target.secret_ref)
        except AddressRefused as refused:
            return Verdict("failed", f"address_refused_{refused.rule}")
        except SecretMissing as missing:
            logging.getLogger(__name__).error("channel %s: secret %s", claimed.channel, missing)
            return Verdict("later", "secret_missing", healthy=False)
        return await self._post(url, claimed, keys, target.timeout.total_seconds())

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _post(self, url: Url, claimed: Claimed, keys: list[bytes], seconds: float) -> Verdict:
        body = message_of(claimed)
        headers = {
            "host": _host_header(url),
            "content-type": "application/json",
            "user-agent": AGENT,
            "accept": "*/*",
            "content-length": str(len(body)),
            **signed_headers(claimed.key, int(clock.unix_seconds()), body, keys),
        }
        reached = _Reached()
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(url, headers, body, reached)
        except AddressRefused as refused:
            return Verdict("failed", f"address_refused_{refused.rule}")
        except TimeoutError:
            return _again("timeout", reached)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            return _again("no_connection", reached)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            return _again("connection_lost", reached)

    async def _answer(
        self, url: Url, headers: dict[str, str], body: bytes, reached: "_Reached"
    ) -> Verdict:
        request = httpcore.Request(
            "POST",
            httpcore.URL(
                scheme=url.scheme.encode(), host=url.host.encode(), port=url.port,
                target=url.path.encode(),
            ),
            headers=list(headers.items()),
            content=body,
            extensions={"trace": reached},
        )  # fmt: skip
        response = await self._pool.handle_async_request(request)
        try:
            verdict = _verdict(response.status, response.headers)
            await _read_some(response)
        finally:
            await response.aclose()
        return verdict


class _Reached:
    """Notes that bytes of the request were sent."""

    def __init__(self) -> None:
        self.yes = False

    async def __call__(self, event: str, _: object) -> None:
        if event.endswith("send_request_headers.started"):
            self.yes = True


async def _read_some(response: httpcore.Response) -> None:
    """Read what the receiver says, up to a limit, and forget it; its status has said all."""
    size = 0
    try:
        async for part in response.aiter_stream():
            size += len(part)
            if size > MAX_ANSWER:
                return
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        return


def _verdict(status: int, headers: list[tuple[bytes, bytes]]) -> Verdict:
    if 200 <= status < 300:
        return DELIVERED
    reason = f"http_{status}"
    if status >= 500 or status == TOO_MANY:
        after = _retry_after(headers, clock.now)
        return Verdict("again", reason, reached=True, retry_after=after, healthy=False)
    return Verdict("failed", reason, closes=status == GONE)


def _again(reason: str, reached: _Reached) -> Verdict:
    return Verdict("again", reason, reached=reached.yes, healthy=False)


def _retry_after(
    headers: list[tuple[bytes, bytes]], now: Callable[[], datetime]
) -> timedelta | None:
    """Seconds, or a date; None for anything else."""
    text = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    spelled = text.decode("latin-1").strip()
    if spelled.isascii() and spelled.isdigit() and len(spelled) < 10:
        return min(timedelta(seconds=int(spelled)), MAX_RETRY_AFTER)
    try:
        instant = parsedate_to_datetime(spelled)
    except (ValueError, IndexError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return min(max(instant - now(), timedelta(0)), MAX_RETRY_AFTER)


def _host_header(url: Url) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port == {"http": 80, "https": 443}[url.scheme] else f"{host}:{url.port}"
