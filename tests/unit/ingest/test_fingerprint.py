"""Failures that are the same mistake have one fingerprint, others have not."""

import pytest

from services.ingest.domain.fingerprint import LENGTH, fingerprint, normalised, unquoted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'ada@b.c' is no RFC 3339 time", "'bob@d.e' is no RFC 3339 time"),
        ("301122 bytes; at most 262144", "999 bytes; at most 1"),
        ('the key "a\\"b" appears twice', 'the key "c" appears twice'),
        ("'ada and cut off", "'bob and cut"),
        ("the record's year 'ada' is odd", "the record's year 'bob' is odd"),
        ("no JSON: line 1  column 7 (char 12.5)", "no JSON: line 20 column 1 (char 3)"),
    ],
)
def test_values_do_not_matter(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert "ada" not in normalised(one)


def test_a_sentence_keeps_its_own_numbers_and_apostrophes() -> None:
    assert unquoted("the record's  'soon' is no RFC 3339 time") == (
        "the record's '…' is no RFC 3339 time"
    )


def test_the_index_in_a_list_does_not_matter() -> None:
    one = fingerprint("spec_violation", "identifiers[0].value", "is required", "s", "t")
    assert one == fingerprint("spec_violation", "identifiers[17].value", "is required", "s", "t")
    assert len(one) == LENGTH
    assert int(one, 16) > 0


def test_everything_else_matters() -> None:
    base = ("spec_violation", "type", "is required", "shop", "Seen")
    others = {
        fingerprint("too_large", *base[1:]),
        fingerprint(base[0], "kind", *base[2:]),
        fingerprint(base[0], None, *base[2:]),
        fingerprint(*base[:2], "must be a text", *base[3:]),
        fingerprint(*base[:3], "till", base[4]),
        fingerprint(*base[:3], None, base[4]),
        fingerprint(*base[:4], "Left"),
        fingerprint(*base[:4], None),
    }
    assert len(others) == 8
    assert fingerprint(*base) not in others


def test_parts_do_not_run_into_each_other() -> None:
    assert fingerprint("r", "a", "b", "s", "t") != fingerprint("r", "ab", "", "s", "t")
