"""The body of a collector request in clear."""

from typing import Any

from fastapi import Request

from services.ingest.domain.decode import MALFORMED
from services.ingest.use_cases.collect import Caller, Door, refuse
from shared.errors import InvalidData, Malformed
from shared.http.problem import MEDIA_TYPE
from shared.http.strict_json import inflate

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Largest body, as sent and unpacked."""


ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in (
        (400, "The body cannot be taken apart. It is kept among the failed events."),
        (401, "No key, or one that is not known. Nothing is kept."),
        (403, "The key may not publish."),
        (408, "The body did not come in time."),
        (413, "The body, or what it unpacks to, is too large; or it holds too many events."),
        (415, "A Content-Encoding other than gzip."),
        (429, "The source is above its rate; `Retry-After` says when to send again."),
        (503, "Kafka does not take events now; `Retry-After` says when to send again."),
    )
}
"""What a collector route answers besides 200."""


def is_packed(request: Request) -> bool:
    """Whether the body is gzip, whatever its content type says."""
    return request.headers.get("content-encoding", "").lower() == "gzip"


async def body_of(request: Request, caller: Caller, door: Door) -> bytes:
    """The body. What is no gzip, though it says so, is kept as it came among the failed events.

    Raises Malformed for that, TooLarge for what unpacks to more than MAX_BODY_BYTES.
    """
    sent = await request.body()
    if not is_packed(request):
        return sent
    try:
        return inflate(sent, MAX_BODY_BYTES)
    except Malformed as error:
        await refuse(sent, InvalidData(MALFORMED, error.detail), caller, door)
        raise


def accepted(count: int) -> dict[str, Any]:
    """What a client hears when its events are safe."""
    return {"success": True, "accepted": count}
