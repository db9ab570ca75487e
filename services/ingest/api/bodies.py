"""The body of a collector request in clear."""

from typing import Any

from fastapi import Request

from services.ingest.domain.decode import MALFORMED
from services.ingest.use_cases.collect import Caller, Door, refuse
from shared.errors import InvalidData, Malformed
from shared.http.strict_json import inflate

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Largest body, as sent and unpacked."""


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
