"""The error tree: every failure that has a meaning of its own, named by what to do next.

    ConcertError
    ├── InvalidData(reason, detail, path?)  a record that can never be applied: dead-letter it
    ├── Infrastructure(what, detail)        Kafka, PostgreSQL or a peer is away: retry for ever
    ├── Fenced(partition)                   another process owns the partition: roll back, give up
    ├── PartitionStopped(partition, detail) going on would lose or invent data: stop, fail readiness
    ├── Misconfigured(problems)             settings that cannot work: say so in one line and exit
    └── Refused(detail)                     a request that is turned down; HTTP answers it
        ├── Malformed           400   the request itself cannot be read
        ├── Unauthenticated     401   no token, or one that is not known
        ├── Forbidden           403   a known token without the role
        ├── NotFound            404
        ├── Conflict            409   the state does not allow it
        ├── Gone                410   it was here and was erased
        ├── PreconditionFailed  412   lost a race: If-Match names another version
        ├── TooLarge            413
        ├── TooMany             429   more than this caller may send; carries when to come again
        └── Unprocessable       422   understood, but breaks rules: carries one Problem for each

Anything else that is raised is a bug. This module must never import another part of Concert.
"""

# ruff: noqa: N818 - each name says what happened; an Error suffix would only repeat the tree

from collections.abc import Sequence
from dataclasses import dataclass


class ConcertError(Exception):
    """The root. Catch a leaf, or this one only to tell a known failure from a bug."""


class InvalidData(ConcertError):
    """A record that can never be applied, however often it is tried.

    `reason` is a short code of the program (`not_json`, `too_large`): it becomes a metric label
    and a header of the dead letter, so it never holds data. `detail` is a sentence for a person,
    `path` the place in the record (`identifiers[0].value`).
    """

    def __init__(self, reason: str, detail: str, path: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if path is None else f"{reason} at {path}: {detail}")
        self.reason = reason
        self.detail = detail
        self.path = path


class Infrastructure(ConcertError):
    """Something Concert needs does not answer. `what` names it: `kafka`, `postgres`, `profile`."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__(f"{what}: {detail}")
        self.what = what
        self.detail = detail


class Fenced(ConcertError):
    """The compare-and-set on the lease row found no row: another process owns the partition."""

    def __init__(self, partition: str) -> None:
        super().__init__(f"{partition} is owned by another process")
        self.partition = partition


class PartitionStopped(ConcertError):
    """Going on with this partition would lose or invent data; a person has to look."""

    def __init__(self, partition: str, detail: str) -> None:
        super().__init__(f"{partition} stopped: {detail}")
        self.partition = partition
        self.detail = detail


class Misconfigured(ConcertError):
    """Settings that cannot work. `problems` holds one line each, naming the variable."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule: where (`trigger.type`), which (`unknown_field`), and in words."""

    path: str
    rule: str
    message: str


class Refused(ConcertError):
    """A request that is turned down. `detail` is shown to the caller: it never holds a secret."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Malformed(Refused):
    """The request itself cannot be read."""


class Unauthenticated(Refused):
    """No token, or one that is not known."""


class Forbidden(Refused):
    """The token is known, but none of its roles may do this."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """The state of the thing does not allow it."""


class Gone(Refused):
    """It was here and was erased on purpose."""


class PreconditionFailed(Refused):
    """`If-Match` names another version than the present one."""


class TooLarge(Refused):
    """The request is larger than the limit."""


class TooMany(Refused):
    """The caller sends more than it may; `retry_after` is in seconds, 1 or more."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unprocessable(Refused):
    """Understood, but it breaks rules; `problems` names each."""

    def __init__(self, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)
