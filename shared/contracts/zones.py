"""The names of time zones that Concert takes: those of the IANA database that mean a place or UTC.

`localtime`, `posixrules` and `Factory` are no zones of anybody: they mean another one on each
machine, or none. The copies under `posix/` and `right/` are there on some machines only, and the
latter count seconds that nobody else does.
"""

from functools import cache
from typing import TypeGuard
from zoneinfo import available_timezones

_NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})
_COPIES = ("posix/", "right/")


def is_zone(name: object) -> TypeGuard[str]:
    """Whether it is the name of such a zone, in its exact spelling."""
    return isinstance(name, str) and name in zone_names()


@cache
def zone_names() -> frozenset[str]:
    """All of them. They are files, so they are looked for once."""
    return frozenset(
        name for name in available_timezones() - _NO_PLACES if not name.startswith(_COPIES)
    )
