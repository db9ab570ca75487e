"""What somebody says about consents, applied to what is held: the entries that the history gets.

A statement takes its place by the time it was said; whether it changed anything is in its entry.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import msgspec

from services.profile.domain.consent import (
    MAX_CONSENTS,
    Confirmation,
    ConsentRecord,
    Consents,
    Said,
    Status,
    about,
    consent_key,
    later,
)
from services.profile.domain.instants import instant_in, instant_text
from shared.contracts.consents import EVERY, GENERAL, SAID_AS_EVERY

What = Literal["granted", "denied", "confirmed", "expired"]


class ConsentChange(msgspec.Struct, frozen=True, gc=False):
    """What is to be recorded for a purpose on a channel. `at` is when it was said, if not now;
    `double_opt_in`: a grant counts only once it is confirmed. Times are RFC 3339 UTC."""

    purpose: str
    channel: str
    status: Said
    basis: str | None = None
    text_version: str | None = None
    expires_at: str | None = None
    at: str | None = None
    double_opt_in: bool = False

    @property
    def key(self) -> str:
        """The key of the record that it is about."""
        return consent_key(self.purpose, self.channel)


class Entry(NamedTuple):
    """One line of the history: what happened to a purpose on a channel, and what holds since."""

    id: str
    purpose: str
    channel: str
    what: What
    status: Status
    at: str
    basis: str | None
    text_version: str | None
    expires_at: str | None
    is_news: bool
    """Whether what holds is another than before."""


class ChangedConsent(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """A consent as the update that tells its change has it."""

    purpose: str
    channel: str
    status: Status
    basis: str | None = None
    text_version: str | None = None
    expires_at: str | None = None


class ConsentCause(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """Why an update was sent: consents changed, by whom and to what.

    It can trigger rules as an event of type `consent_changed`: `properties` have, by status, the
    purposes that came to it. `touchpoint_id` is the touchpoint that said so, if it was one.
    """

    kind: str = "consent_changed"
    type: str = "consent_changed"
    id: str
    at: str
    occurred_at: str
    received_at: str
    actor: str
    reason: str
    consents: list[ChangedConsent]
    properties: dict[str, list[str]]
    touchpoint_id: str | None = None
    historical: bool = False


def cause_of(
    entries: Iterable[Entry],
    *,
    id_: str,
    occurred_at: str,
    received_at: str,
    actor: str,
    reason: str,
    touchpoint_id: str | None = None,
    historical: bool = False,
) -> bytes:
    """The cause that tells the news among the entries, as JSON; all of them where none is news."""
    listed = list(entries)
    news = [one for one in listed if one.is_news] or listed
    properties: dict[str, list[str]] = {"channels": sorted({one.channel for one in news})}
    for one in news:
        named = properties.setdefault(one.status, [])
        if one.purpose not in named:
            named.append(one.purpose)
    cause = ConsentCause(
        id=id_,
        at=received_at,
        occurred_at=occurred_at,
        received_at=received_at,
        actor=actor,
        reason=reason,
        consents=[
            ChangedConsent(
                one.purpose, one.channel, one.status, one.basis, one.text_version, one.expires_at
            )
            for one in news
        ],
        properties=properties,
        touchpoint_id=touchpoint_id,
        historical=historical,
    )
    # Defaults are left out, so the kinds have to be said.
    fields = msgspec.to_builtins(cause) | {"kind": cause.kind, "type": cause.type}
    return _encode(fields)


_encode = msgspec.json.Encoder(order="deterministic").encode


def with_room(held: Consents, change: ConsentChange) -> ConsentChange | None:
    """The change as it can be recorded; None where MAX_CONSENTS are held already.

    Without room for a record of its own, a denial on one channel is taken for every channel where
    the purpose has a record for that: a refusal may hold further than it was meant, never less.
    """
    if len(held) < MAX_CONSENTS or change.key in held or change.purpose in GENERAL:
        return change
    if change.status == "denied" and consent_key(change.purpose, EVERY) in held:
        return msgspec.structs.replace(change, channel=EVERY)
    return None


def apply_changes(
    held: Consents, changes: Iterable[ConsentChange], at: str, name: Callable[[int], str]
) -> list[Entry]:
    """Record statements in place; an entry for each that has to be kept. `name` gives the id of the
    entry of each.

    A statement without a time is of `at`, or directly after what is held if that is newer. A grant
    that stands already, word for word, is none; one that has ended already needs no telling when it
    does. Raises ValueError when there would be more than
    MAX_CONSENTS records; general refusals always find room, and so does a denial of what stands
    granted on every channel (see `with_room`).
    """
    entries = []
    for place, asked in enumerate(changes):
        change = with_room(held, asked)
        if change is None:
            raise ValueError(f"a profile holds at most {MAX_CONSENTS} consents")
        key = change.key
        _spell_anew(held, change.purpose)
        before = held.get(key)
        if change.at is None and before is not None and _stands(before, change, at):
            continue
        when = change.at or _after(before, at)
        record = ConsentRecord(
            change.status,
            when,
            change.basis,
            change.text_version,
            None if change.status == "denied" else change.expires_at,
            name(place),
            change.status == "granted" and change.double_opt_in,
        )
        after = record if before is None else later(before, record)
        if after.status_at(at) == "expired":
            after = msgspec.structs.replace(after, lapsed=True)
        held[key] = after
        entries.append(
            Entry(
                name(place),
                *about(key),
                change.status,
                after.status_at(at),
                when,
                record.basis,
                record.text_version,
                record.expires_at,
                _told(before, at) != _told(after, at),
            )
        )
    return entries


def confirm(held: Consents, key: str, at: str, proof: str, *, asked: str | None) -> Entry:
    """Confirm what is pending and stands on the entry `asked`.

    Raises ValueError when there is no such thing at `at` (RFC 3339 UTC).
    """
    before = held.get(key)
    if before is None or before.status_at(at) != "pending" or before.proof != asked:
        raise ValueError("nothing is waiting for a confirmation")
    when = _after(before, at)
    after = held[key] = msgspec.structs.replace(before, confirmed=Confirmation(when, proof))
    return Entry(
        proof,
        *about(key),
        "confirmed",
        after.status_at(at),
        when,
        after.basis,
        after.text_version,
        after.expires_at,
        True,
    )


def lapse(held: Consents, at: str, name: Callable[[str], str]) -> list[Entry]:
    """Note which grants have expired by `at` (RFC 3339 UTC) and were not told yet, by key.

    `name` gives the id of the entry for a key.
    """
    entries = []
    for key in sorted(held):
        record = held[key]
        if record.lapsed or record.status_at(at) != "expired":
            continue
        held[key] = msgspec.structs.replace(record, lapsed=True)
        assert record.expires_at is not None  # noqa: S101 - it expired
        entries.append(
            Entry(
                name(key),
                *about(key),
                "expired",
                "expired",
                record.expires_at,
                record.basis,
                record.text_version,
                record.expires_at,
                True,
            )
        )
    return entries


def _spell_anew(held: Consents, purpose: str) -> None:
    """Older rows may say "every channel" in other words: one record of all of them, in place."""
    every = consent_key(purpose, EVERY)
    for spelling in SAID_AS_EVERY - {EVERY}:
        old = held.pop(f"{purpose}\0{spelling}", None)
        if old is not None:
            held[every] = later(held[every], old) if every in held else old


def _stands(held: ConsentRecord, change: ConsentChange, at: str) -> bool:
    if change.status == "denied" or held.status_at(at) != "granted":
        return False
    said = (change.basis, change.text_version, change.expires_at)
    return said == (held.basis, held.text_version, held.expires_at)


def _after(held: ConsentRecord | None, at: str) -> str:
    return at if held is None or held.at < at else instant_text(instant_in(held.at) + 1)


def _told(record: ConsentRecord | None, at: str) -> object:
    if record is None:
        return None
    return record.status_at(at), record.basis, record.text_version, record.expires_at


def may_be_said(purpose: str, channel: str) -> bool:
    """Whether a purpose and channel can be names: names with `*` are reserved."""
    return not (purpose.startswith("*") and purpose not in GENERAL) and not (
        channel.startswith("*") and channel != EVERY
    )
