"""What people are searched by, and where a match stands."""

import pytest

from services.profile.domain.search import (
    How,
    Names,
    Place,
    fold,
    lowered,
    matches,
    names_in,
    names_of,
    query_of,
)


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("Ada", "ada"),
        ("  Zoë  Ångström ", "zoe angstrom"),
        ("ZOE\u0308", "zoe"),
        ("Łukasz Øst", "lukasz ost"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("İpek", "ipek"),
        ("Ａda", "ada"),
        ("王 小明", "王 小明"),
        ("", ""),
    ],
)
def test_a_name_is_compared_without_case_and_accents(written: str, folded: str) -> None:
    assert fold(written) == folded
    assert fold(folded) == folded


def test_a_name_is_searched_in_both_orders() -> None:
    assert names_of({"first_name": "Ada", "last_name": "Lovelace"}) == Names(
        "ada lovelace", "lovelace ada"
    )
    assert names_of({"last_name": "Lovelace"}) == Names("lovelace", "")
    assert names_of({"first_name": 7, "last_name": None}) == Names("", "")
    assert names_in({"first_name": b'"Zo\xc3\xab"', "city": b'"Paris"'}) == Names("zoe", "")
    assert names_in({"first_name": b"null"}) == Names("", "")
    assert max(map(len, names_of({"first_name": "x" * 900, "last_name": "y" * 900}))) == 201


def test_an_identifier_is_lowered_as_the_database_does_it() -> None:
    assert lowered("AbC-É") == "abc-É"


def test_what_is_typed_becomes_whole_identifiers_a_beginning_and_a_name() -> None:
    query = query_of(" +33 6 12 ", ["+33612"], prefixes=True)
    assert query.exact == ("+33 6 12", "+33612")
    assert (query.prefix, query.name) == ("+33612", "+33 6 12")
    assert query_of("Zoë", [], prefixes=True).name == "zoe"
    assert query_of("Z", [], prefixes=True)[1:] == (None, None)
    assert query_of("Zoë", [], prefixes=False)[1:] == (None, None)


def test_the_best_reason_comes_first_and_everybody_has_one_place() -> None:
    query = query_of("ada", ["ada"], prefixes=True)
    found = matches(
        [("email", "ada@example.com"), ("user_id", "ADA"), ("phone", "+33612345678")],
        Names("ada lovelace", "lovelace ada"),
        "Ada Lovelace",
        query,
    )
    assert [(one.place, one.type, one.value) for one in found] == [
        (Place(How.EXACT, "ada"), "user_id", "ADA"),
        (Place(How.IDENTIFIER, "ada@example.com"), "email", "ada@example.com"),
        (Place(How.NAME, "ada lovelace"), None, "Ada Lovelace"),
    ]
    exactly = query_of("ada", ["ada"], prefixes=False)
    assert [one.type for one in matches([("user_id", "ADA")], Names("ada", ""), "", exactly)] == [
        "user_id"
    ]
