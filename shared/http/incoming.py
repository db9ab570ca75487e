"""The body of one request on its way in: so many bytes, in so much time, and no more.

A length is not believed: bytes are counted as they come, so a body without a length, or with a
wrong one, stops at the limit. Who sends slowly is told so after a time. All bodies together take
bounded memory, however many callers there are.
"""

import asyncio

from starlette.exceptions import HTTPException

from shared.observability.listener import Message, Receive

BODY_SECONDS = 30.0
"""From the head of a request to the last byte of its body."""
MAX_HELD_BYTES = 256 * 1024 * 1024
"""Of all bodies that one process holds at once."""
DRAIN_BYTES = 32 * 1024 * 1024
DRAIN_SECONDS = 2.0
"""So much more is read, and thrown away, of a body that was refused: most clients read an answer
only when they have sent everything, and would see a broken connection instead."""


class Held:
    """How many bytes of bodies a process holds now."""

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self.limit = limit
        self.bytes = 0


class Incoming:
    """`receive` of one request with its limits. `refused` says that the rest must not be waited
    for: the answer has to end the connection. `expected` says that the request has a body.
    """

    def __init__(
        self,
        receive: Receive,
        held: Held,
        *,
        max_bytes: int,
        expected: bool,
        seconds: float = BODY_SECONDS,
    ) -> None:
        self._receive = receive
        self._held = held
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._received = 0
        self._complete = False
        self._late = False
        self._expected = expected
        self.refused = False

    async def receive(self) -> Message:
        """The next message. Raises HTTPException 413, 408 or 503 when a limit is passed.

        That class, since the framework turns any other into a plain 400.
        """
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.refused = self._late = True
            raise HTTPException(408, f"The body did not come in {self._seconds:g} s.") from None
        size = len(message.get("body", b""))
        self._received += size
        self._held.bytes += size
        if self._received > self._max_bytes:
            self.refused = True
            raise HTTPException(413, too_large(self._max_bytes))
        if self._held.bytes > self._held.limit:
            self.refused = True
            detail = "Too many bodies are on their way; try again."
            raise HTTPException(503, detail, headers={"Retry-After": "1"})
        self._complete = not message.get("more_body", False)
        return message

    @property
    def unfinished(self) -> bool:
        """Whether some of the body was not taken in: nobody counts or times what still comes."""
        return self._expected and not self._complete

    async def drain(self) -> None:
        """Throw away some of what is still coming, after the answer was sent."""
        if self._late:
            return
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while drained < DRAIN_BYTES:
                    message = await self._receive()
                    drained += len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    def release(self) -> None:
        """The request is answered; nothing of its body is held any more."""
        self._held.bytes -= self._received


def too_large(max_bytes: int) -> str:
    """What the caller of a body above the limit is told."""
    return f"A body may have {max_bytes} bytes."
