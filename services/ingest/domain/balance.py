"""What became of a source's events: each is in exactly one place."""

from typing import NamedTuple


class Balance(NamedTuple):
    """received = accepted + duplicate + failed + in_flight."""

    received: int
    accepted: int
    duplicate: int
    failed: int
    in_flight: int


def balance(*, received: int, failed: int, accepted: int, duplicate: int) -> Balance:
    """The counts of two services as one account.

    A touchpoint can be applied shortly before the position behind its record moves, which is when
    it is counted here: what was applied was received, so it counts as that already.
    """
    known = accepted + duplicate + failed
    received = max(received, known)
    return Balance(received, accepted, duplicate, failed, received - known)
