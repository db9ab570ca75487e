"""What is dealt out to workers together, and that what the lists name is there."""

from pathlib import Path

import pytest

from tests.support.dealing import ALONE, APART, LONG, SHARING, part_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_lists_name_what_is_there() -> None:
    assert [one for one in (*ALONE, *APART, *LONG, *SHARING) if not (ROOT / one).exists()] == []
    assert len({*ALONE, *LONG}) == len(ALONE) + len(LONG)


@pytest.mark.parametrize(
    ("nodeid", "part"),
    [
        ("tests/unit/test_dealing.py::test_x[tests/e2e/a::b]", "tests/unit/test_dealing.py"),
        ("tests/acceptance/test_outage.py::test_x", "tests/acceptance/test_outage.py"),
        ("tests/acceptance/test_decide.py::test_x", "tests/acceptance"),
        ("tests/acceptance/test_receipts.py::test_y", "tests/acceptance"),
        ("tests/acceptance/scenarios/test_a.py::test_x", "tests/acceptance/scenarios"),
    ],
)
def test_a_test_is_dealt_out_with_what_it_shares(nodeid: str, part: str) -> None:
    assert part_of(nodeid) == part
