"""What consents permit: which of a profile's records decide for a purpose on a channel.

One rule for everybody who asks, the profile service and the orchestrator: of the records that cover
a purpose and channel the strictest decides. A refusal beats what is pending, that beats a grant,
and a grant whose time is up is none. Which of them is the newer plays no part: each has the last
word on its own purpose and channel only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from shared.contracts.profile_update import Consent

EVERY = "*"
"""As a channel: every channel. As a purpose: every purpose, and then only a refusal counts."""
SAID_AS_EVERY = frozenset({EVERY, "all", "any"})
"""The channels that mean every channel."""
STOPPED = "*stop"
"""The purpose of what a customer refused with a word such as STOP: everything on that channel."""
GENERAL = (EVERY, STOPPED)
STRICTER = ("denied", "pending", "granted", "expired")
"""The first of these that is on record decides."""

Find = Callable[[str, str], str | None]
"""The status of the one record of exactly this purpose and channel; None where there is none."""


def deciding(find: Find, purpose: str, channel: str) -> str | None:
    """`denied`, `pending`, `granted`, `expired`, or None where nothing is on record.

    A grant covers its own purpose on its channel, or on every channel. A refusal covers the same,
    and one of a general purpose covers every purpose.
    """
    for general in GENERAL:
        if "denied" in (find(general, channel), find(general, EVERY)):
            return "denied"
    if purpose in GENERAL:
        return None
    found = (find(purpose, channel), find(purpose, EVERY))
    for status in STRICTER:
        if status in found:
            return status
    return None


def status_at(consent: Consent, at: str) -> str:
    """What a record says at an instant (RFC 3339 UTC with milliseconds)."""
    until = consent.expires_at
    if until is not None and consent.status != "denied" and until <= at:
        return "expired"
    return consent.status


class ConsentsAt(Mapping[tuple[str, str], str]):
    """What holds for (purpose, channel), decided when it is asked. It lists the records alone."""

    def __init__(self, find: Find, records: Callable[[], Iterable[tuple[str, str]]]) -> None:
        self._find = find
        self._records = records

    def __getitem__(self, key: tuple[str, str]) -> str:
        found = deciding(self._find, *key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._records())

    def __len__(self) -> int:
        return sum(1 for _ in self._records())


def consents_at(consents: Iterable[Consent], at: str) -> ConsentsAt:
    """What the records of a snapshot permit at an instant (RFC 3339 UTC with milliseconds)."""
    held: dict[tuple[str, str], str] = {}
    for one in consents:
        key = (one.purpose, EVERY if one.channel in SAID_AS_EVERY else one.channel)
        status, before = status_at(one, at), held.get(key)
        if before is None or STRICTER.index(status) < STRICTER.index(before):
            held[key] = status
    return ConsentsAt(lambda purpose, channel: held.get((purpose, channel)), lambda: held)
