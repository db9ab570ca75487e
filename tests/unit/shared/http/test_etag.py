"""If-Match lets a write through exactly when nobody was faster."""

import pytest

from shared.errors import Malformed, PreconditionFailed
from shared.http.etag import check_if_match, check_if_none_match, etag


@pytest.mark.parametrize(
    ("header", "version"), [(None, None), (None, 3), ("*", 3), ('"3"', 3), ('"2", "3"', 3)]
)
def test_it_lets_through(header: str | None, version: int | None) -> None:
    check_if_match(header, version)


@pytest.mark.parametrize(
    ("header", "version"),
    [("*", None), ('"3"', None), ('"2"', 3), ('W/"3"', 3), ('"33"', 3), ('""', 3)],
)
def test_it_stops_a_lost_race(header: str, version: int | None) -> None:
    with pytest.raises(PreconditionFailed):
        check_if_match(header, version)


@pytest.mark.parametrize("header", ["3", "", '"3', "3, 4"])
def test_it_refuses_what_is_no_tag(header: str) -> None:
    with pytest.raises(Malformed):
        check_if_match(header, 3)


def test_a_tag_is_the_version_in_quotes() -> None:
    assert etag(41) == '"41"'


@pytest.mark.parametrize(("header", "version"), [(None, 3), ("*", None), ('"2"', 3), ('"3"', None)])
def test_a_write_that_makes_goes_on(header: str | None, version: int | None) -> None:
    check_if_none_match(header, version)


@pytest.mark.parametrize("header", ["*", '"3"', '"2", "3"'])
def test_a_write_that_only_makes_replaces_nothing(header: str) -> None:
    with pytest.raises(PreconditionFailed):
        check_if_none_match(header, 3)
    with pytest.raises(Malformed):
        check_if_none_match("3", None)
