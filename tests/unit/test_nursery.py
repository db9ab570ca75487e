"""What a nursery says when the process that forks is gone."""

import sys
from collections.abc import Iterator

import pytest

from tests.support import nursery
from tests.support.nursery import Nursery


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    """A nursery whose process ends at once."""
    monkeypatch.setattr(nursery, "FORKS", (sys.executable, "-c", ""))
    made = Nursery()
    made._popen.wait(30)
    yield made
    made.close()


def test_who_asks_one_that_is_gone_is_told_so(ended: Nursery) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match="has ended"):
            ended.ask({"poll": 1})
