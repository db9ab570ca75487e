"""Consents of a profile: what for (purpose), where (channel), granted or denied, until when.

A record is the last word on its own purpose and channel by the time it was said, in whatever order
the words arrive. No record means no consent; who needs one must not act. When two profiles become
one, the most restrictive record of each purpose and channel wins, and a merge never turns a denial
around. What the records permit together is in `shared.contracts.consents`.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from services.profile.domain.instants import instant_in
from shared.contracts.consents import EVERY, SAID_AS_EVERY, STRICTER, ConsentsAt
from shared.contracts.profile_update import Consent

MAX_CONSENTS = 200

Said = Literal["granted", "denied"]
Status = Literal["granted", "pending", "denied", "expired"]


class Confirmation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The second yes of a double opt-in. `proof` is its entry in the history."""

    at: str
    proof: str | None = None


class ConsentRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last word on one purpose and channel, and what it is worth. Times are RFC 3339 UTC.

    `proof` is the entry in the history that says who said it where. `denied_at` is the last denial
    before a grant; a confirmation counts until the next denial. `lapsed`: everybody was told that
    it expired.
    """

    said: Said
    at: str
    basis: str | None = None
    text_version: str | None = None
    expires_at: str | None = None
    proof: str | None = None
    double_opt_in: bool = False
    denied_at: str | None = None
    confirmed: Confirmation | None = None
    lapsed: bool = False

    @property
    def status(self) -> Literal["granted", "pending", "denied"]:
        """What it says, its expiry aside."""
        if self.said == "denied":
            return "denied"
        if self.double_opt_in and not self._is_confirmed:
            return "pending"
        return "granted"

    @property
    def _is_confirmed(self) -> bool:
        return self.confirmed is not None and self.confirmed.at > (self.denied_at or "")

    def status_at(self, at: str) -> Status:
        """What it says at an instant (RFC 3339 UTC with milliseconds)."""
        if self.expires_at is not None and self.said == "granted" and self.expires_at <= at:
            return "expired"
        return self.status

    @property
    def refused_at(self) -> str | None:
        """When it was last denied; None: never."""
        return self.at if self.said == "denied" else self.denied_at


Consents = dict[str, ConsentRecord]
"""`purpose NUL channel` -> the record; purpose and channel hold no NUL."""


class PurposeAndChannel(NamedTuple):
    """What a record is about."""

    purpose: str
    channel: str


def consent_key(purpose: str, channel: str) -> str:
    """The key of a record; every way of saying "every channel" is one."""
    return f"{purpose}\0{EVERY if channel in SAID_AS_EVERY else channel}"


def about(key: str) -> PurposeAndChannel:
    """The purpose and channel of a key."""
    purpose, _, channel = key.partition("\0")
    return PurposeAndChannel(purpose, channel)


def later(a: ConsentRecord, b: ConsentRecord) -> ConsentRecord:
    """What two records of one person for one purpose and channel say together: the later word, with
    every denial and confirmation remembered. In any order, any number of times, it is the same."""
    word, other = (a, b) if _recency(a) >= _recency(b) else (b, a)
    lapsed = word.lapsed or (_recency(word) == _recency(other) and other.lapsed)
    refused = max(a.refused_at or "", b.refused_at or "") or None
    confirmations = [one.confirmed for one in (a, b) if one.confirmed is not None]
    return msgspec.structs.replace(
        word,
        denied_at=None if word.said == "denied" else refused,
        confirmed=max(confirmations, key=_order_of, default=None),
        lapsed=lapsed,
    )


def most_restrictive(a: Mapping[str, ConsentRecord], b: Mapping[str, ConsentRecord]) -> Consents:
    """The consents of two profiles that become one: a denial beats what is pending, that beats a
    grant, of two grants the one that ends earlier holds; then the later one."""
    united = dict(a)
    for key, record in b.items():
        held = united.get(key)
        if held is None or _strength(record) > _strength(held):
            united[key] = record
    return united


def holding(consents: Mapping[str, ConsentRecord], at: str) -> ConsentsAt:
    """What the records permit at an instant (RFC 3339 UTC with milliseconds)."""

    def find(purpose: str, channel: str) -> str | None:
        if channel != EVERY:
            record = consents.get(f"{purpose}\0{channel}")
            return None if record is None else record.status_at(at)
        kept = (consents.get(f"{purpose}\0{name}") for name in SAID_AS_EVERY)
        found = {record.status_at(at) for record in kept if record is not None}
        return next((one for one in STRICTER if one in found), None)

    return ConsentsAt(find, lambda: map(about, consents))


def next_expiry(consents: Mapping[str, ConsentRecord]) -> str | None:
    """The first instant at which a grant expires and nobody was told; None: no grant does."""
    open_ = (
        record.expires_at
        for record in consents.values()
        if record.expires_at is not None and record.said == "granted" and not record.lapsed
    )
    return min(open_, default=None)


def consent_list(consents: Mapping[str, ConsentRecord], at: str = "") -> list[Consent]:
    """The records as they stand on the wire, by purpose and channel.

    With `at` (RFC 3339 UTC) none is shown as granted that has expired by then; without, one is
    shown as expired as soon as that was told.
    """
    listed = []
    for key in sorted(consents):
        record = consents[key]
        status: Status = "expired" if record.lapsed else record.status_at(at)
        confirmed = record.confirmed
        listed.append(
            Consent(
                *about(key),
                status,
                record.basis,
                record.at,
                record.text_version,
                record.expires_at,
                None if confirmed is None or status == "denied" else confirmed.at,
                record.proof,
            )
        )
    return listed


def _recency(record: ConsentRecord) -> tuple[str, bool, bool, float, str, str, str]:
    """By time; of what was said at the same instant the stricter counts as later."""
    return (
        record.at,
        record.said == "denied",
        record.double_opt_in,
        _shortness(record),
        record.basis or "",
        record.text_version or "",
        record.proof or "",
    )


def _strength(record: ConsentRecord) -> tuple[int, float, object]:
    rank = ("granted", "pending", "denied").index(record.status)
    confirmed = _order_of(record.confirmed or Confirmation(""))
    rest = (_recency(record), record.refused_at or "", confirmed, record.lapsed)
    return rank, _shortness(record), rest


def _shortness(record: ConsentRecord) -> float:
    """The greater, the earlier it expires."""
    if record.expires_at is None or record.said == "denied":
        return float("-inf")
    return -float(instant_in(record.expires_at))


def _order_of(confirmation: Confirmation) -> tuple[str, str]:
    return confirmation.at, confirmation.proof or ""
