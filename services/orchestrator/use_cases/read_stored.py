"""Reads stored documents again, by the rules of today."""

import logging
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from shared.errors import Unprocessable

logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StoredBody(Protocol):
    """A published version of any kind."""

    @property
    def key(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def body(self) -> dict[str, object]: ...


class Parse(Protocol[T_co]):
    """Turns a stored body into a value; raises Unprocessable."""

    def __call__(self, document: object, *, key: str, version: int) -> T_co: ...


def parsed(parse: Parse[T], rows: Iterable[StoredBody], kind: str) -> Iterator[T]:
    """The stored documents that this version of the program takes; the others are logged."""
    for row in rows:
        try:
            yield parse(row.body, key=row.key, version=row.version)
        except Unprocessable as error:
            problems = "; ".join(f"{one.path}: {one.message}" for one in error.problems)
            logger.error("%s %s version %d is not used: %s", kind, row.key, row.version, problems)
