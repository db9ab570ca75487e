"""Log lines: one JSON object each, nothing personal, no control characters, never an exception."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from shared.observability import logging as concert_logging
from shared.observability.logging import TRACE
from shared.observability.masking import MASK, MAX_TEXT, clean, mask


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    written = io.StringIO()
    concert_logging.configure("profile.worker", "INFO", written)
    yield written
    logging.captureWarnings(False)
    root.handlers[:], level = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


logger = logging.getLogger("services.profile")


def test_a_line_has_the_fixed_members(stream: io.StringIO) -> None:
    logger.info("batch committed", extra={"topic": "channel.web", "offset": 12345678901})
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "services.profile",
        "message": "batch committed",
        "role": "profile.worker",
        "fields": {"topic": "channel.web", "offset": 12345678901},
    }


def test_the_trace_of_the_request_is_in_the_line(stream: io.StringIO) -> None:
    token = TRACE.set("a" * 32)
    try:
        logger.info("hello")
    finally:
        TRACE.reset(token)
    assert lines(stream)[0]["trace"] == "a" * 32


def test_nothing_personal_leaves_whichever_way_it_comes(stream: io.StringIO) -> None:
    logger.warning(
        "could not write to %s, %s",
        "ada@lovelace.org",
        "+33 6 12 34 56 78",
        extra={
            "email": "ada@lovelace.org",
            "nested": [{"traits": {"first_name": "Ada"}, "note": "call 0612345678"}],
            "header": "Bearer cst_0123456789abcdef_" + "s" * 43,
            "url": "postgresql://concert:hunter2@db/concert",
        },
    )
    try:
        raise ValueError("Key (value)=(ada@lovelace.org) exists")
    except ValueError:
        logger.exception("failed")
    text = stream.getvalue()
    for secret in ("ada@", "lovelace", "Ada", "612345678", "12 34 56", "sss", "hunter2"):
        assert secret not in text, secret
    assert lines(stream)[1]["stack"][-1] == f"ValueError: Key (value)=({MASK}) exists"


@pytest.mark.parametrize("bad", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\x00b", "a\u202eb"])
def test_one_message_is_one_line_whatever_it_holds(stream: io.StringIO, bad: str) -> None:
    logger.info(bad, extra={"field": bad, bad: 1})
    logger.info("next")
    written = stream.getvalue()
    assert len(written.splitlines()) == 2
    assert lines(stream)[0]["message"] in {"a b", "ab"}
    assert not any(ord(character) < 32 for character in written.replace("\n", ""))


@pytest.mark.parametrize("odd", ["\ud800", 2**80, float("nan"), b"\xff", object(), {1: {2, 3}}])
def test_values_that_json_cannot_hold_still_leave_a_line(stream: io.StringIO, odd: object) -> None:
    logger.info("odd", extra={"odd": odd})
    assert lines(stream)[0]["message"] == "odd"


def test_a_wrong_format_string_still_leaves_a_line() -> None:
    record = logging.makeLogRecord({"msg": "%d pieces", "args": ("many",)})
    line = json.loads(concert_logging.JsonLines("profile.worker").format(record))
    assert "pieces" in line["message"]


def test_libraries_are_heard_from_warning_on(stream: io.StringIO) -> None:
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("aiokafka.consumer").warning("trouble")
    assert [line["message"] for line in lines(stream)] == ["trouble"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21 10:00:00",
        "2026-11-21T10:00:00.123Z",
        "01234567-1234-7123-8123-123456789012",
        "channel.web/3 at 12345",
        "127.0.0.1:9092",
        "took 0.317 s",
    ],
)
def test_times_ids_and_numbers_stay_readable(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text",
    ["+33612345678", "06 12 34 56 78", "(020) 7946-0958", "+1-202-555-0143", "a.b+c@d.example"],
)
def test_addresses_and_numbers_of_people_do_not(text: str) -> None:
    assert clean(f"to {text} now") == f"to {MASK} now"


def test_sizes_are_limited() -> None:
    assert len(clean("x" * 100_000)) <= MAX_TEXT + 1
    deep: object = "end"
    for _ in range(100):
        deep = [deep]
    assert MASK in json.dumps(mask(deep))
    assert len(mask(list(range(1000)))) == 50  # type: ignore[arg-type]
