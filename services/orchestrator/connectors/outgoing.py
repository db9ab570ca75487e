"""The one way out: a name is resolved once, all its addresses are checked, and the connection goes
to one that passed.

Names are resolved in threads of the channel's own, so that a server of names that hangs for one
channel holds no other channel up.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore

from services.orchestrator.domain.address_guard import (
    MAIL_PORTS,
    WEB_PORTS,
    AddressPolicy,
    AddressRefused,
    check_host,
    check_port,
    checked,
    literal,
)

THREADS = 4
RESOLVE_SECONDS = 5.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a name. Raises OSError when there are none."""
SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


def system_resolver() -> Resolve:
    """A resolver that asks the system, in a few threads of its own."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    async def resolve(host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(threads, _addresses, host, port)
        return list(dict.fromkeys(found))

    return resolve


def _addresses(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]


class Outgoing:
    """The connections of one channel. `resolve` and `connect` are replaced in tests, so that not
    even a broken guard sends anything off the machine."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        resolve: Resolve | None = None,
        connect: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self.policy = policy
        self._resolve = resolve or system_resolver()
        self.connect = connect or httpcore.AnyIOBackend()

    async def addresses(self, host: str, port: int, ports: frozenset[int]) -> Sequence[str]:
        """The checked addresses of a host, to be connected to as they are.

        Raises AddressRefused, and OSError when the name is not known or nobody answers in time.
        """
        check_host(host)
        check_port(port, self.policy, ports)
        own = literal(host)
        if own is None:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolve(host.removesuffix("."), port)
        else:
            found = [str(own)]
        return [str(address) for address in checked(found, port, self.policy, ports)]

    async def mail_addresses(self, host: str, port: int) -> Sequence[str]:
        """As `addresses`, for a mail server."""
        return await self.addresses(host, port, MAIL_PORTS)

    async def web_addresses(self, host: str, port: int) -> Sequence[str]:
        """As `addresses`, for a web server."""
        return await self.addresses(host, port, WEB_PORTS)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects HTTP to checked addresses only; host name, SNI and certificate stay the URL's."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface has it
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, and httpcore.ConnectError when no address answers."""
        try:
            addresses = await self._outgoing.web_addresses(host, port)
        except OSError as error:  # also the time-out
            raise httpcore.ConnectError(f"{type(error).__name__} for the name") from error
        for place, address in enumerate(addresses):
            try:
                return await self._outgoing.connect.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses) - 1:
                    raise
        raise AddressRefused("address", "resolves to no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface has it
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """There is none to connect to."""
        raise AddressRefused("scheme", "is no address on a network")

    async def sleep(self, seconds: float) -> None:
        """Used between httpcore's own tries, which are off."""
        await asyncio.sleep(seconds)
