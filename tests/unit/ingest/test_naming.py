"""Which bytes name a person."""

import pytest

from services.ingest.domain.naming import names, needles


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"userId":"u1","broken', "u1"),
        (b'{"email":"Ada@Example.com"', "ada@example.com"),
        (b"email=ada%40example.com&x=1", "ada@example.com"),
        (b"no json at all: ada@example.com;", "ada@example.com"),
        (b"call 33612345678 back", "+33612345678"),
        ('{"name":"zoë@example.fr'.encode(), "zoë@example.fr"),
        (b'{"name":"zo\\xeb@example.fr'.replace(b"\\xeb", b"\\u00eb"), "zoë@example.fr"),
        (b'{"id":"a\\"b-long"', 'a"b-long'),
    ],
)
def test_it_names_the_person(raw: bytes, value: str) -> None:
    assert names([None, raw], [value])
    assert any(needle in raw.lower() for needle in needles([value]))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"userId":"u12"}', "u1"),
        (b'{"n":1}', "1"),
        (b'{"at":1700000000123456}', "123456"),
        (b"xada@example.com", "ada@example.com"),
        (b"", "ada@example.com"),
    ],
)
def test_it_names_somebody_else(raw: bytes, value: str) -> None:
    assert not names([raw], [value])


def test_nobody_is_named_by_nothing() -> None:
    assert needles([]) == []
    assert not names([b"anything"], [])
