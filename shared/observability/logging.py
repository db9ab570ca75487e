"""JSON lines on stderr: `time level logger message role`, then `trace`, `fields` and `stack`.

Give what varies as `extra={"topic": ..., "offset": ...}`; it becomes `fields`. Nothing personal
and no control character leaves the process this way, whatever is passed (see masking).
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import orjson

from shared.observability.masking import clean, mask

TRACE: ContextVar[str | None] = ContextVar("trace", default=None)
"""The trace id (32 hex digits) of the request or record that is being worked on."""

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
NOT_OURS = frozenset({"color_message"})
MAX_STACK_LINES = 60
QUIET = ("aiokafka", "asyncio", "httpx", "httpcore", "alembic", "uvicorn", "sqlalchemy")


class JsonLines(logging.Formatter):
    """One JSON object a line. Never raises: a line that cannot be built would hide a failure."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": clean(_message(record)),
            "role": self._role,
        }
        trace = TRACE.get()
        if trace is not None:
            line["trace"] = trace
        fields = {
            key: value
            for key, value in vars(record).items()
            if key not in STANDARD and key not in NOT_OURS
        }
        if fields:
            line["fields"] = mask(fields)
        if record.exc_info:
            stack = self.formatException(record.exc_info).splitlines()
            line["stack"] = [clean(each) for each in stack[-MAX_STACK_LINES:]]
        encoded = orjson.dumps(_encodable(line), option=orjson.OPT_NON_STR_KEYS, default=str)
        return encoded.decode()


def configure(role: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to `stream` (stderr) as JSON lines.

    `role` is `<service>.<role>`. Libraries are heard from WARNING on.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.captureWarnings(True)


def _message(record: logging.LogRecord) -> str:
    """The message with its arguments; a wrong format string still leaves a line."""
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:
        return f"{record.msg!r} with arguments that do not fit: {error}"


def _encodable(value: object) -> object:
    """What JSON can hold: orjson refuses lone surrogates and integers beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value
