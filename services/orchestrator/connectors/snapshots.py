"""Reads a profile over HTTP within milliseconds: for who stands at the till and waits.

A client of its own, because nothing here may cost what a general one does, and because a request
that is given up must not leave anything behind: its connection is closed, and no other is touched.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import msgspec

from services.orchestrator.domain.ask import Person
from shared.contracts.profile_update import snapshot_decoder, update_decoder
from shared.errors import Gone, Infrastructure

PROFILE = "profile"
DEADLINE_SECONDS = 0.03
"""An answer without the profile is better than one that comes late."""
AT_ONCE = 4
"""So many are read at the same time: who waits for a turn does not use up the deadline."""
MAX_HEAD = 64 * 1024
IDLE_SECONDS = 20.0
"""Less than the server keeps a connection that nobody uses."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = 0.0

    def close(self) -> None:
        self.writer.transport.abort()


class Snapshots:
    """One for each process; `close` it at the end. `deadline` is in seconds."""

    def __init__(self, url: str, service_token: str, *, deadline: float = DEADLINE_SECONDS) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if secure else 80)
        self._ssl = ssl.create_default_context() if secure else None
        self._path = parts.path.rstrip("/")
        self._headers = f"Host: {parts.netloc}\r\nAuthorization: Bearer {service_token}\r\n\r\n"
        self._deadline = deadline
        self._idle: list[_Connection] = []
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def person(self, type_: str, value: str) -> Person | None:
        """Whom an identifier points at, as a decision on the stream would see them; None: nobody,
        or many people at once.

        Raises Gone for the id of a profile that was erased, and Infrastructure when the profile
        service has not said so by the deadline.
        """
        path = f"{self._path}/v1/snapshots/{quote(type_, safe='')}/{quote(value, safe='')}"
        request = f"GET {path} HTTP/1.1\r\n{self._headers}".encode()
        async with self._turns:
            try:
                async with asyncio.timeout(self._deadline):
                    status, body = await self._ask(request)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                raise Infrastructure(PROFILE, f"{type(error).__name__}: {error}") from error
        if status == 410:
            raise Gone("The person of this profile was erased.")
        if status == 404:
            return None
        if status != 200:
            raise Infrastructure(PROFILE, f"answered {status}")
        return _person(body)

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        """Over a connection that is open, or a new one where that turns out to be closed."""
        now: Callable[[], float] = asyncio.get_running_loop().time
        while self._idle:
            connection = self._idle.pop()
            if now() - connection.used_at > IDLE_SECONDS:
                connection.close()
                continue
            try:
                return await self._ask_over(connection, request)
            except (ConnectionError, EOFError):
                continue
        reader, writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._ssl, limit=MAX_HEAD
        )
        return await self._ask_over(_Connection(reader, writer), request)

    async def _ask_over(self, connection: _Connection, request: bytes) -> tuple[int, bytes]:
        whole = False
        try:
            connection.writer.write(request)
            status, length, stays = _head(await connection.reader.readuntil(b"\r\n\r\n"))
            body = await connection.reader.readexactly(length)
            whole = stays
        finally:
            if whole:
                connection.used_at = asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.close()
        return status, body


def _head(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the body, and whether the connection stays open. Raises ValueError."""
    first, *lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b":", 1) for line in lines if line)
    stays = first.startswith(b"http/1.1 ") and fields.get(b"connection", b"").strip() != b"close"
    if b"content-length" not in fields:
        raise ValueError("an answer without Content-Length")
    return int(first.split(b" ", 2)[1]), int(fields[b"content-length"]), stays


def _person(body: bytes) -> Person:
    try:
        told = update_decoder.decode(body)
        profile = snapshot_decoder.decode(told.profile)
    except msgspec.DecodeError as error:
        raise Infrastructure(PROFILE, f"answered what is no profile: {error}") from error
    return Person(told.profile_id, told.seq, profile, bytes(told.profile))
