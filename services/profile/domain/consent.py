"""Consents of a profile: what for (purpose), where (channel), granted or denied.

No record means no consent; who needs one must not act. When two profiles become one, the most
restrictive record of each purpose and channel wins, and a merge never turns a denial around.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from shared.contracts.profile_update import Consent

MAX_CONSENTS = 200

Status = Literal["granted", "denied"]


class ConsentRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The last word on one purpose and channel. `at` is RFC 3339 UTC."""

    status: Status
    at: str
    basis: str | None = None


Consents = dict[str, ConsentRecord]
"""`purpose NUL channel` -> the record; purpose and channel hold no NUL."""


class ConsentChange(msgspec.Struct, frozen=True, gc=False):
    """What is to be recorded for a purpose on a channel."""

    purpose: str
    channel: str
    status: Status
    basis: str | None = None


def apply_changes(held: Consents, changes: Iterable[ConsentChange], at: str) -> list[ConsentChange]:
    """Record the changes in place and return those that say something new.

    Raises ValueError when there would be more than MAX_CONSENTS records.
    """
    news = []
    for change in changes:
        key = f"{change.purpose}\0{change.channel}"
        before = held.get(key)
        if before is not None and (before.status, before.basis) == (change.status, change.basis):
            continue
        if before is None and len(held) >= MAX_CONSENTS:
            raise ValueError(f"a profile holds at most {MAX_CONSENTS} consents")
        held[key] = ConsentRecord(change.status, at, change.basis)
        news.append(change)
    return news


def most_restrictive(a: Mapping[str, ConsentRecord], b: Mapping[str, ConsentRecord]) -> Consents:
    """The consents of two profiles that become one: a denial beats a grant, then the later one."""
    united = dict(a)
    for key, record in b.items():
        held = united.get(key)
        if held is None or _strength(record) > _strength(held):
            united[key] = record
    return united


def consent_list(consents: Mapping[str, ConsentRecord]) -> list[Consent]:
    """The records as they stand on the wire, by purpose and channel."""
    listed = []
    for key in sorted(consents):
        purpose, _, channel = key.partition("\0")
        record = consents[key]
        listed.append(Consent(purpose, channel, record.status, record.basis, record.at))
    return listed


def consents_of(listed: Iterable[Consent]) -> Consents:
    """The records of a list that `consent_list` made."""
    return {
        f"{one.purpose}\0{one.channel}": ConsentRecord(
            "denied" if one.status == "denied" else "granted", one.at or "", one.basis
        )
        for one in listed
    }


def _strength(record: ConsentRecord) -> tuple[bool, str, str]:
    return record.status == "denied", record.at, record.basis or ""
