"""Derived ids never change; time-ordered ids sort by time."""

import uuid

import pytest

from shared import ids


def test_the_id_of_a_touchpoint_is_pinned() -> None:
    """These values are in databases and topics: a change would apply every event once more."""
    assert str(ids.touchpoint_id("web-shop", "m-1")) == "d04bd3c0-a37e-5d5c-b988-5d4c56c98527"
    assert str(ids.action_id("welcome", "t-1", "0")) == "a7887204-d3c4-5809-8b65-6d4834945258"


def test_source_and_message_id_cannot_run_into_each_other() -> None:
    assert ids.touchpoint_id("a", "bc") != ids.touchpoint_id("ab", "c")
    assert ids.touchpoint_id("a", "b") == ids.touchpoint_id("a", "b")


def test_time_ordered_ids_have_the_form_of_version_7_and_sort_by_time() -> None:
    early, late = ids.time_ordered_id_from(1_000, "z"), ids.time_ordered_id_from(1_001, "a")
    assert early < late
    for made in (early, late, ids.time_ordered_id()):
        assert made.version == 7
        assert made.variant == uuid.RFC_4122
    assert early.int >> 80 == 1_000


def test_the_same_instant_and_seed_give_the_same_id_and_other_seeds_another() -> None:
    assert ids.time_ordered_id_from(5, "a") == ids.time_ordered_id_from(5, "a")
    assert ids.time_ordered_id_from(5, "a") != ids.time_ordered_id_from(5, "b")


@pytest.mark.parametrize("milliseconds", [-1, 1 << 48])
def test_an_instant_that_does_not_fit_is_refused(milliseconds: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        ids.time_ordered_id_from(milliseconds, "a")


def test_random_ids_differ() -> None:
    assert len({ids.random_id() for _ in range(100)}) == 100
    assert ids.random_id().version == 4
