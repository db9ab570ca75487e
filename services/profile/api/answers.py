"""Answers that are written as they are: one encoder for everything the profile API says."""

from typing import Any

import msgspec
from fastapi import Response

_encoder = msgspec.json.Encoder()


def json_answer(value: dict[str, Any]) -> Response:
    """The value as JSON."""
    return Response(_encoder.encode(value), media_type="application/json")
