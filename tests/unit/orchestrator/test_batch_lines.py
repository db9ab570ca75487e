"""The daily file: whose day it is, and cells that stay text."""

import csv
import io
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.batch_lines import file_name, head, last_cut_off, lines, safe
from services.orchestrator.domain.channel import parse_channel
from services.orchestrator.domain.connector import FileBatch
from shared.contracts.action import Action, action_encoder
from shared.contracts.touchpoint import Identifier

PARIS = ZoneInfo("Europe/Paris")


def target(**fields: object) -> FileBatch:
    document = {"folder": "print", "zone": "Europe/Paris", **fields}
    made = parse_channel({"connector": "file", "file": document}, key="direct_mail", version=1)
    assert isinstance(made.target, FileBatch)
    return made.target


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2026-11-20 16:59", "2026-11-19"), ("2026-11-20 17:00", "2026-11-20"),
        ("2026-11-21 12:00", "2026-11-20"), ("2026-11-22 23:00", "2026-11-20"),
        ("2026-11-23 16:59", "2026-11-20"), ("2026-11-23 17:01", "2026-11-23"),
    ],
)  # fmt: skip
def test_a_file_for_each_working_day(now: str, day: str) -> None:
    weekdays = target(days=["mon", "tue", "wed", "thu", "fri"])
    closed, instant = last_cut_off(weekdays, datetime.fromisoformat(now).replace(tzinfo=PARIS))
    assert closed == date.fromisoformat(day)
    assert instant.astimezone(PARIS).strftime("%H:%M") == "17:00"


def test_the_cut_off_is_local_when_clocks_change() -> None:
    _, winter = last_cut_off(target(), datetime(2026, 10, 26, 0, 0, tzinfo=PARIS))
    _, summer = last_cut_off(target(), datetime(2026, 10, 25, 0, 0, tzinfo=PARIS))
    assert (winter.utcoffset(), summer.utcoffset()) != (None, None)
    assert (winter - summer).total_seconds() == 24 * 3600
    assert winter.astimezone(ZoneInfo("UTC")).hour == 16
    assert summer.astimezone(ZoneInfo("UTC")).hour == 15


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", '"=1', "'=1", "＝1",
     "|x", "%x", "\n=1", "-1+1|cmd"],
)  # fmt: skip
def test_a_formula_stays_text(text: str) -> None:
    assert safe(text).startswith("'")
    assert "\n" not in safe(text)
    assert "\r" not in safe(text)


@pytest.mark.parametrize("text", ["+33612345678", "-12.50", "Ada", "", "a=b", "12 rue X", "O'Neil"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_lines_have_the_chosen_columns() -> None:
    chosen = target(columns=["action_id", "to", "to_type", "content.greeting", "content", "rule"])
    action = Action(
        action_id="a1", idempotency_key="a1", kind="send", profile_id="p", channel="direct_mail",
        category="marketing", decision_id="d", rule="r", to=Identifier("loyalty_id", "L-1"),
        content={"greeting": 'Dear "Ada",\nhello', "n": 3},
    )  # fmt: skip
    written = (head(chosen) + lines(chosen, [action_encoder.encode(action)])).decode()
    names, row = csv.reader(io.StringIO(written))
    assert names == list(chosen.columns)
    assert row[:4] == ["a1", "L-1", "loyalty_id", 'Dear "Ada", hello']
    assert row[5] == "r"
    assert written.count("\r\n") == 2
    assert file_name("direct_mail", date(2026, 11, 20)) == "direct_mail-2026-11-20.csv"
