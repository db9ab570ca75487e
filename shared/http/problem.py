"""Errors as `application/problem+json` (RFC 9457): one shape for everything that goes wrong.

Body: `{type, title, status, detail, errors: [{path, rule, message}], trace}`. It never shows what
is inside: no stack, no SQL, no value of a secret.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared import errors
from shared.errors import Infrastructure, InvalidData, Problem, Refused

MEDIA_TYPE = "application/problem+json"
MAX_PROBLEMS = 100
RETRY_AFTER = {"Retry-After": "1"}
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="concert"'}

_TEXT = {"type": "string"}
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What went wrong (RFC 9457); `errors` names each mistake with its place.",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "title": "Problem",
                    "type": "object",
                    "properties": {
                        **dict.fromkeys(("type", "title", "detail", "trace"), _TEXT),
                        "status": {"type": "integer"},
                        "errors": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": dict.fromkeys(("path", "rule", "message"), _TEXT),
                                "required": ["path", "rule", "message"],
                            },
                        },
                    },
                    "required": ["type", "title", "status", "detail", "errors", "trace"],
                }
            }
        },
    }
}
"""The error answer of every route, for the OpenAPI document."""

STATUS: Mapping[type[Refused], HTTPStatus] = {
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Gone: HTTPStatus.GONE,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
}


def problem_response(
    status: int,
    detail: str,
    trace: str,
    *,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error answer; `type` and `title` follow from the status."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"urn:concert:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [
            {"path": problem.path, "rule": problem.rule, "message": problem.message}
            for problem in problems[:MAX_PROBLEMS]
        ],
        "trace": trace,
    }
    return Response(
        orjson.dumps(body, default=str), status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def trace_of(request: Request) -> str:
    """The trace id of this request: 32 hex digits."""
    trace: str = request.state.trace
    return trace


def answer_errors(app: FastAPI) -> None:
    """Make `app` answer every known error with a problem; the edge answers the unknown ones."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(InvalidData, _invalid_data)
    app.add_exception_handler(Infrastructure, _infrastructure)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - registered for this class alone
    problems = error.problems if isinstance(error, errors.Unprocessable) else ()
    headers: Mapping[str, str] | None = None
    if isinstance(error, errors.Unauthenticated):
        headers = CHALLENGE
    elif isinstance(error, errors.TooMany):
        headers = {"Retry-After": str(error.retry_after)}
    status = STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
    return problem_response(
        status, error.detail, trace_of(request), problems=problems, headers=headers
    )


async def _invalid_data(request: Request, error: Exception) -> Response:
    assert isinstance(error, InvalidData)  # noqa: S101 - registered for this class alone
    problem = Problem(error.path or "", error.reason, error.detail)
    return problem_response(422, error.detail, trace_of(request), problems=[problem])


async def _infrastructure(request: Request, error: Exception) -> Response:
    assert isinstance(error, Infrastructure)  # noqa: S101 - registered for this class alone
    detail = f"{error.what} does not answer; try again."
    return problem_response(503, detail, trace_of(request), headers=RETRY_AFTER)


_OF_A_VALIDATOR = "Value error, "
"""What pydantic puts before the sentence of a validator of ours."""


async def _invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        reason = found[0].get("ctx", {}).get("error", "")
        return problem_response(400, f"The body is not JSON: {reason}", trace_of(request))
    problems = [
        Problem(path_of(each["loc"]), each["type"], each["msg"].removeprefix(_OF_A_VALIDATOR))
        for each in found
    ]
    first = f"{problems[0].path or 'The body'}: {problems[0].message}" if problems else "invalid"
    return problem_response(422, first, trace_of(request), problems=problems)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    return problem_response(
        error.status_code, str(error.detail), trace_of(request), headers=error.headers
    )


def path_of(location: Sequence[Any]) -> str:
    """`("body", "trigger", 0, "type")` as `trigger[0].type`; other parts keep their place."""
    parts = list(location[1:]) if location and location[0] == "body" else list(location)
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else str(part)
    return path
