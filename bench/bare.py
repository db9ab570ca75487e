"""The least an HTTP endpoint can do: read the body and say yes. What the collector is held against.

`python -m bench.bare PORT`
"""

import asyncio
import sys

import uvloop

from deploy.local.ports import HOST
from shared.observability.listener import Message, Receive, Scope, Send, listening

ANSWER = b'{"success":true}'


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body; parse nothing, keep nothing."""
    message: Message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def main(port: int) -> None:
    """Serve until ended."""
    async with listening(app, HOST, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
