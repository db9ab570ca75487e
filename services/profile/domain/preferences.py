"""The preferences of a customer: what they see of their consents, and what a choice changes.

A choice turns on what was chosen and nothing else: a general refusal that stands in the way is
taken back, and what it alone had silenced is refused by itself from then on.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from services.profile.domain.consent import Consents, consent_key, holding
from services.profile.domain.consent_change import ConsentChange, apply_changes
from services.profile.domain.consent_rules import CONSENT, ConsentRules, Purpose, Refused
from shared.contracts.consents import EVERY, GENERAL

ON = ("granted", "pending")

Pair = tuple[str, str]
"""Purpose and channel."""


class Preference(NamedTuple):
    """A line of the page: a purpose on a channel, and what holds there."""

    purpose: Purpose
    channel: str
    status: str | None

    @property
    def pair(self) -> Pair:
        """What it is about."""
        return self.purpose.key, self.channel

    @property
    def is_on(self) -> bool:
        """Whether the customer allowed it, confirmed or not."""
        return self.status in ON


def preferences(held: Consents, rules: ConsentRules, at: str) -> list[Preference]:
    """Every declared purpose, by name, on each of its channels; on every channel where it names
    none, and on those that something was said about."""
    now = holding(held, at)
    lines: list[Preference] = []
    for purpose in sorted(rules.purposes.values(), key=lambda one: (one.name, one.key)):
        lines += [
            Preference(purpose, channel, now.get((purpose.key, channel)))
            for channel in purpose.channels or _channels_of(purpose.key, held)
        ]
    return lines


def _channels_of(purpose: str, held: Consents) -> list[str]:
    named = {channel for one, channel in holding(held, "") if one == purpose}
    return [EVERY, *sorted(named - {EVERY})]


def refuses_everything(held: Consents, at: str) -> bool:
    """Whether the customer refused every purpose on every channel."""
    return holding(held, at).get((EVERY, EVERY)) == "denied"


def choose(
    held: Consents,
    rules: ConsentRules,
    *,
    shown: Collection[Pair],
    was: Collection[Pair],
    on: Collection[Pair],
    at: str,
) -> list[ConsentChange]:
    """What to record when somebody who saw `shown`, of which `was` were on, leaves `on` on.

    Only what they changed is recorded: what changed meanwhile elsewhere stays. Raises ValueError
    for what is no declared purpose on one of its channels.
    """
    known = {one.pair for one in preferences(held, rules, at)}
    if not known.issuperset(shown):
        raise ValueError("the page has changed: open it again")
    asked = [pair for pair in shown if (pair in on) and pair not in was]
    refused = [pair for pair in shown if (pair in was) and pair not in on]
    stay = {pair for pair in shown if pair in on}
    changes = [_turn_off(pair, stay, at) for pair in refused]
    for pair in asked:
        changes += _lifted(pair, held, at)
        changes.append(_grant(rules.purposes[pair[0]], pair[1]))
    if asked:
        changes += _keep_off(held, changes, rules, asked, at)
    return list({change.key: change for change in _grants_last(changes, asked)}.values())


def _grants_last(
    changes: Iterable[ConsentChange], asked: Collection[Pair]
) -> Iterator[ConsentChange]:
    listed = list(changes)
    yield from (one for one in listed if (one.purpose, one.channel) not in asked)
    yield from (one for one in listed if (one.purpose, one.channel) in asked and not one.expires_at)


def _turn_off(pair: Pair, stay: Collection[Pair], at: str) -> ConsentChange:
    """A refusal on every channel would silence what stays on one: there the grant just ends."""
    purpose, channel = pair
    if channel == EVERY and any(one == purpose for one, _ in stay):
        return _ended(pair, at)
    return ConsentChange(purpose, channel, "denied")


def _grant(purpose: Purpose, channel: str) -> ConsentChange:
    basis = CONSENT if CONSENT in purpose.bases else purpose.bases[0]
    return ConsentChange(purpose.key, channel, "granted", basis)


def _ended(pair: Pair, at: str) -> ConsentChange:
    """Neither a grant nor a refusal: a grant that is over as soon as it is given."""
    return ConsentChange(*pair, "granted", expires_at=at)


def _lifted(pair: Pair, held: Consents, at: str) -> Iterator[ConsentChange]:
    """What takes back the refusals that stand in the way of a grant."""
    purpose, channel = pair
    for general in GENERAL:
        for on in {channel, EVERY}:
            record = held.get(consent_key(general, on))
            if record is not None and record.status_at(at) == "denied":
                yield ConsentChange(general, on, "granted", record.basis)
    broad = held.get(consent_key(purpose, EVERY))
    if channel != EVERY and broad is not None and broad.status_at(at) in ("denied", "pending"):
        yield _ended((purpose, EVERY), at)


def _keep_off(
    held: Consents,
    changes: Collection[ConsentChange],
    rules: ConsentRules,
    asked: Collection[Pair],
    at: str,
) -> Iterator[ConsentChange]:
    """What has to be said so that nothing comes on that nobody asked for."""
    before = holding(held, at)
    purposes = sorted({purpose for purpose, _ in before} - set(GENERAL))
    channels = sorted({channel for _, channel in before} | {channel for _, channel in asked})
    said = [*changes]
    for channel in (EVERY, *(one for one in channels if one != EVERY)):
        after = holding(_simulated(held, said, rules, at), at)
        for purpose in purposes:
            pair = (purpose, channel)
            comes_on = before.get(pair) not in ON and after.get(pair) in ON
            if comes_on and pair not in asked and (purpose, EVERY) not in asked:
                off = _ended(pair, at) if channel == EVERY else _deny(pair)
                said.append(off)
                yield off


def _deny(pair: Pair) -> ConsentChange:
    return ConsentChange(*pair, "denied")


def _simulated(
    held: Consents, changes: Iterable[ConsentChange], rules: ConsentRules, at: str
) -> Consents:
    copy = dict(held)
    for change in changes:
        admitted = rules.admit(change, at)
        if not isinstance(admitted, Refused):
            apply_changes(copy, [admitted], at, str)
    return copy
