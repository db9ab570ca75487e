"""A proxy on loopback that makes clients send again, in a pattern that a seed decides.

Of every `every` requests one is answered 503 with `Retry-After`, one 429 with `Retry-After: 1`, and
one goes through but its connection is cut before the answer: the client cannot know, and the same
events come twice.
"""

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from deploy.local.ports import HOST

OK, UNAVAILABLE, TOO_MANY, CUT = "ok", "503", "429", "cut"
FAULTS = (UNAVAILABLE, TOO_MANY, CUT)
NOT_FORWARDED = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
STATUS = {UNAVAILABLE: 503, TOO_MANY: 429}
UPSTREAM_SECONDS = 60.0


class FaultyProxy(ThreadingHTTPServer):
    """Listens on a free port; `seen` counts what became of the requests."""

    daemon_threads = True

    def __init__(self, upstream: str, *, every: int, seed: int) -> None:
        super().__init__((HOST, 0), _Handler)
        target = urlsplit(upstream)
        assert target.hostname is not None
        self.upstream = (target.hostname, target.port)
        self.seen: Counter[str] = Counter()
        self._every = every
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._next: list[str] = []

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self.server_address[1]}"

    def fate(self) -> str:
        """What becomes of the next request; every fault once in each `every` requests."""
        with self._lock:
            if not self._next:
                self._next = [*FAULTS, *[OK] * (self._every - len(FAULTS))]
                self._random.shuffle(self._next)
            fate = self._next.pop()
            self.seen[fate] += 1
            return fate

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone is none of the proxy's business; the test sees what is missing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def do_POST(self) -> None:
        body = self._body()
        fate = self.server.fate()
        if fate in STATUS:
            self._answer(STATUS[fate], {"Retry-After": "1"}, b'{"success":false}')
            return
        status, headers, answer = self._forward(body)
        if fate == CUT:
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, headers, answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """The requests are counted, not printed."""

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send it on with the client's own headers, its body in one piece."""
        upstream = http.client.HTTPConnection(*self.server.upstream, timeout=UPSTREAM_SECONDS)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_FORWARDED}
            upstream.request("POST", self.path, body, headers)
            answer = upstream.getresponse()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in NOT_FORWARDED}
            return answer.status, kept, answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def faulty_proxy(upstream: str, *, every: int, seed: int) -> Iterator[FaultyProxy]:
    """A running proxy in front of `upstream`."""
    with FaultyProxy(upstream, every=every, seed=seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
