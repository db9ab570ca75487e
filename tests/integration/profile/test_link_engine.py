"""The engine alone, on made-up people: the same answer each time, bounded, and clear without it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.profile.domain import linking
from services.profile.domain.linking import COLUMNS, Person
from services.profile.storage import link_engine
from services.profile.storage.link_engine import LinkEngine, Pair, require_engine
from shared.errors import Misconfigured
from tests.support.febrl import febrl_records, true_links

RECORDS = febrl_records(people=300)


def people() -> list[Person]:
    """The records as the linker compares them."""
    return [
        Person(one.account, tuple(one.traits.get(column) for column in COLUMNS)) for one in RECORDS
    ]


def found(folder: Path, everybody: Sequence[Person], *, threads: int = 1) -> list[Pair]:
    """Every pair with 0.9 or more."""
    links = LinkEngine(folder, memory_mb=256, threads=threads)
    try:
        for start in range(0, len(everybody), 300):
            links.add(everybody[start : start + 300])
        links.count_pairs()
        links.train()
        return [pair for page in links.pairs(0.9) for pair in page]
    finally:
        links.close()


def test_the_same_people_give_the_same_pairs_whatever_the_order(tmp_path: Path) -> None:
    everybody = people()
    assert len(everybody) >= linking.MIN_TO_TRAIN
    once = found(tmp_path, everybody)
    assert len(once) > 100
    again = found(tmp_path, everybody[::-1], threads=2)
    assert [pair[:2] for pair in again] == [pair[:2] for pair in once]
    assert [pair.score for pair in again] == pytest.approx([pair.score for pair in once], abs=1e-6)
    true = true_links(RECORDS)
    right = [pair for pair in once if (pair.a, pair.b) in true]
    assert len(right) / len(once) >= 0.99
    assert len(right) / len(true) >= 0.9


def test_few_people_are_compared_by_the_start_values(tmp_path: Path) -> None:
    few = people()[:150]
    assert len(few) < linking.MIN_TO_TRAIN
    pairs = found(tmp_path, few)
    true = true_links(RECORDS[:150])
    assert {(pair.a, pair.b) for pair in pairs} <= true
    assert len(pairs) / len(true) >= 0.9


def test_a_value_that_too_many_share_is_no_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_engine, "MAX_BLOCK", 3)
    links = LinkEngine(tmp_path, memory_mb=256, threads=1)
    crowd = [
        Person(str(n), tuple("19700101" if name == "birthday" else None for name in COLUMNS))
        for n in range(4)
    ]
    links.add(crowd[:3])
    assert links.count_pairs()["birthday"] == 3
    links.close()
    links = LinkEngine(tmp_path, memory_mb=256, threads=1)
    links.add(crowd)
    assert links.count_pairs()["birthday"] == 0
    links.train()
    assert list(links.pairs(0.5)) == []
    links.close()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        return None

    monkeypatch.setattr(link_engine, "find_spec", missing)
    with pytest.raises(Misconfigured, match="extra `link`"):
        require_engine()
