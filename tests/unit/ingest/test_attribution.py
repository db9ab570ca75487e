"""Who published what could not be read."""

import pytest

from services.ingest.domain.attribution import publisher_of


@pytest.mark.parametrize(
    ("value", "headers", "publisher"),
    [
        (b'{"source":" till ","type":7}', (), "till"),
        (b'{"source":"till"}', (("X-Concert-Source", b"shop"),), "shop"),
        (b"\xff", (("ce_source", b"/pos/1"),), "/pos/1"),
        (b"\xff", (("ce_source", b"\xff"),), "\ufffd"),
        (b'{"source":"a\\u0000b"}', (), "ab"),
        (b'{"source":7}', (), None),
        (b'{"type":"t"}', (), None),
        (b"[" * 100_000, (), None),
        (b'{"source":"till"', (), None),
        (b"7", (), None),
        (None, (), None),
        (b"", (("x-concert-source", b""),), None),
    ],
)
def test_the_publisher_as_far_as_a_record_names_it(
    value: bytes | None, headers: tuple[tuple[str, bytes], ...], publisher: str | None
) -> None:
    assert publisher_of(value, headers) == publisher
