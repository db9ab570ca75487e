"""What is compared of a profile, in which form; the words of a likeness; when it is too much."""

import pytest

from services.profile.domain.identity import stand_in
from services.profile.domain.linking import (
    COLUMNS,
    COMPARISONS,
    Judged,
    in_all,
    person_of,
    too_many,
    words_of,
)
from services.profile.domain.survivorship import TraitPolicy
from tests.unit.profile.world import World, touchpoint


def compared(*bodies: dict[str, object]) -> dict[str, str] | None:
    """What of the one profile of these touchpoints is compared."""
    world = World()
    world.take(*bodies)
    (stored,) = world.active()
    person = person_of(stored, TraitPolicy())
    if person is None:
        return None
    assert person.id == stored.id
    return {name: value for name, value in zip(COLUMNS, person.values, strict=True) if value}


def test_values_are_compared_in_one_form() -> None:
    traits = {
        "first_name": "  ÉLISE\u00a0 Anne ",
        "birthday": "1956-04-09T00:00:00Z",
        "postal_code": "SW1A 2AA",
        "street_number": 7,
        "national_id": "180 49-74",
        "city": "",
        "state": True,
        "locale": "fr-FR",
    }
    assert compared(touchpoint(1, ("loyalty_id", "x"), traits=traits)) == {
        "first_name": "élise anne",
        "birthday": "19560409",
        "postal_code": "sw1a2aa",
        "street_number": "7",
        "national_id": "1804974",
    }


@pytest.mark.parametrize("birthday", ["9.4.56", "unknown", 1956, None, ["1956-04-09"]])
def test_what_is_no_whole_date_is_no_birthday(birthday: object) -> None:
    traits = {"birthday": birthday, "city": "Ulm"}
    assert compared(touchpoint(1, ("loyalty_id", "x"), traits=traits)) == {"city": "ulm"}


def test_what_a_shared_identifier_did_alone_is_nobody_to_be_compared() -> None:
    world = World()
    world.take(touchpoint(1, ("email", "info@x.y"), traits={"city": "Ulm"}))
    (stored,) = world.active()
    (key,) = stored.state.held
    assert person_of(stored, TraitPolicy()) is not None
    stored.state.held[stand_in(key)] = stored.state.held.pop(key)
    assert person_of(stored, TraitPolicy()) is None


def test_identifiers_are_compared_too_the_latest_of_each() -> None:
    bodies = (
        touchpoint(1, ("loyalty_id", "x"), ("email", "new@x.y"), traits={"email": "no@x.y"}),
        touchpoint(0, ("loyalty_id", "x"), ("email", "old@x.y"), ("phone", "+33612345678")),
    )
    assert compared(*bodies) == {"email": "new@x.y", "phone": "33612345678"}


def test_who_has_nothing_to_compare_is_nobody() -> None:
    assert compared(touchpoint(1, ("loyalty_id", "x"), traits={"score": 7})) is None


def test_every_likeness_has_words() -> None:
    words = {words_of(one, level) for one in COMPARISONS for level in one.levels}
    assert len(words) == sum(len(one.levels) for one in COMPARISONS)
    assert {
        "surname equal",
        "birthday one digit apart",
        "given name is the other's surname",
        "e-mail the same before the @",
    } <= words


def test_start_values_are_shares() -> None:
    for one in COMPARISONS:
        assert sum(level.m for level in one.levels) == pytest.approx(1), one.column
        assert sum(level.u for level in one.levels) == pytest.approx(1), one.column
        assert one.levels[-1].kind == "other"


def test_a_refusal_names_the_largest_blocks_and_the_setting() -> None:
    pairs = {"birthday": 5000, "names": 10, "phone": 20, "e-mail": 30}
    assert too_many(pairs, 5060) is None
    said = too_many(pairs, 5059)
    assert said is not None
    assert "5,060 pairs" in said
    assert "birthday: 5,000, e-mail: 30, phone: 20" in said
    assert "CONCERT_LINK_MAX_PAIRS" in said


def test_precision_is_of_what_was_decided() -> None:
    assert Judged(0.9, 0, 0, 0).precision is None
    bands = [Judged(0.9, 3, 1, 1), Judged(0.99, 4, 0, 0)]
    assert bands[0].precision == 0.5
    assert in_all(bands) == Judged(0.0, 7, 1, 1)
    assert in_all(bands).precision == 0.75
