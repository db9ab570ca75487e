"""Which port each part of the local stack listens on, all counted from `CONCERT_PORT_BASE`.

Loopback only. Ports are checked before anything starts, so that a busy one costs no minute.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.local.errors import StackError

HOST = "127.0.0.1"
DEFAULT_BASE = 8000
FIRST_METRICS_OFFSET = 1101
HIGHEST_BASE = 65535 - FIRST_METRICS_OFFSET - 100


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack."""

    base: int

    @property
    def kafka(self) -> int:
        """Where the broker's clients connect."""
        return self.base + 92

    @property
    def kafka_controller(self) -> int:
        """Where the broker talks to itself."""
        return self.base + 93

    @property
    def kafka_forwarded(self) -> int:
        """Where a proxy connects whose address the broker tells clients, if there is one."""
        return self.base + 94

    @property
    def postgres(self) -> int:
        """Where PostgreSQL's clients connect."""
        return self.base + 32

    def metrics(self) -> Iterator[int]:
        """The free metrics ports, from base + 1101 up, in order."""
        for port in range(self.base + FIRST_METRICS_OFFSET, 65536):
            if is_free(port):
                yield port


def chosen_ports() -> Ports:
    """The ports under `CONCERT_PORT_BASE`. Raises StackError when that is no usable number."""
    text = os.environ.get("CONCERT_PORT_BASE") or str(DEFAULT_BASE)
    if not text.isdecimal() or not 1024 <= int(text) <= HIGHEST_BASE:
        raise StackError(
            f"CONCERT_PORT_BASE={text} is not usable: give a number from 1024 to {HIGHEST_BASE}"
        )
    return Ports(int(text))


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(wanted: Mapping[str, int]) -> None:
    """Raise StackError naming every wanted port (by what wants it) that something listens on."""
    busy = [f"{port} ({name})" for name, port in wanted.items() if not is_free(port)]
    if busy:
        raise StackError(
            f"port {', '.join(busy)} is in use: stop what listens there, "
            "or move the whole stack, for example CONCERT_PORT_BASE=9400 make run"
        )
