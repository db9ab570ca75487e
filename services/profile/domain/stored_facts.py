"""What the row of a profile keeps beside the encoded state: the facts that conditions in SQL read,
and the name that people are searched by."""

import msgspec

from services.profile.domain.consent import Consents, about, consent_key, holding, most_restrictive
from services.profile.domain.groups import KINDS
from services.profile.domain.profile import shown_traits
from services.profile.domain.search import Names, names_in
from services.profile.domain.snapshot import members_of
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.facts import FOREVER, GRANTED_FROM, GRANTED_UNTIL, UNTIL
from shared.contracts.consents import EVERY

_encode = msgspec.json.Encoder(order="deterministic").encode
_NUL = b"\\u0000"


def stored_facts(profile: WorkingProfile) -> str | None:
    """`{traits, consents, segments, persona, events}` as JSON; None where what is stored is right.
    Where there are any, also what is known of `household` and `account`, and the `links` to all
    accounts and lists.

    `consents` are `{purpose: {channel: status}}`; `events` has the count `n` of each stream and
    the newest instants `t` (milliseconds since 1970). PostgreSQL takes no U+0000: it is U+FFFD.
    """
    if profile.facts_stored:
        return None
    best = profile.survivors()
    standing = profile.standing
    rest = _encode(
        {
            "consents": consents_in_row(profile.state.consents),
            "segments": list(standing.segments),
            "persona": standing.persona,
            **_linked(profile),
            "events": {
                key: {"n": tally.count, "t": tally.recent}
                for key, tally in profile.tallies.all_instants().items()
            },
        }
    )
    encoded = b'{"traits":{%b},%b' % (members_of(best, shown_traits(best)), rest[1:])
    if _NUL in encoded:
        encoded = _encode(_without_nul(msgspec.json.decode(encoded)))
    return encoded.decode()


def searched_names(profile: WorkingProfile) -> Names | None:
    """The name that people are searched by; None where what is stored is right."""
    return None if profile.facts_stored else names_in(profile.survivors())


def consents_in_row(held: Consents) -> dict[str, dict[str, str]]:
    """What holds for each purpose on each channel that is named anywhere, and on all others (`*`).

    A grant that expires is `granted until` its instant, and one that what is pending hides until
    that expires is `granted from … until …`: only the query knows what time it is.
    """
    unexpired = {
        key: one
        for key, one in _spelled_once(held).items()
        if one.said == "denied" or not one.lapsed
    }
    names = [about(key) for key in unexpired]
    permitted = holding(unexpired, "")
    channels = sorted({channel for _, channel in names} | {EVERY})
    found: dict[str, dict[str, str]] = {}
    for purpose in sorted({purpose for purpose, _ in names}):
        by_channel = {
            channel: _with_ends(unexpired, purpose, channel, permitted.get((purpose, channel)))
            for channel in channels
        }
        rest = by_channel[EVERY]
        found[purpose] = {
            channel: status
            for channel, status in by_channel.items()
            if status is not None and (channel == EVERY or status != rest)
        }
    return found


def _spelled_once(held: Consents) -> Consents:
    """Older rows say "every channel" in other words too; the strictest of them counts."""
    found: Consents = {}
    for key, record in held.items():
        found = most_restrictive(found, {consent_key(*about(key)): record})
    return found


def _with_ends(held: Consents, purpose: str, channel: str, status: str | None) -> str | None:
    if status not in ("granted", "pending"):
        return status
    names = dict.fromkeys((channel, EVERY))
    covering = [one for name in names if (one := held.get(consent_key(purpose, name))) is not None]
    waiting = [one.expires_at for one in covering if one.status == "pending"]
    granted = [one.expires_at for one in covering if one.status == "granted"]
    if None in waiting or not granted:
        return status
    end = FOREVER if None in granted else max(one for one in granted if one is not None)
    begin = max((one for one in waiting if one is not None), default=None)
    if begin is not None:
        return f"{GRANTED_FROM}{begin}{UNTIL}{end}"
    return status if end == FOREVER else GRANTED_UNTIL + end


def _linked(profile: WorkingProfile) -> dict[str, object]:
    standing = profile.standing
    found: dict[str, object] = {}
    for kind in KINDS:
        id_ = standing.group(kind)
        if id_ is not None:
            found[kind] = {"id": id_, **msgspec.json.decode(standing.group_facts.get(kind, b"{}"))}
    if standing.accounts or standing.lists:
        links = {"accounts": standing.accounts, "lists": standing.lists}
        found["links"] = {name: keys for name, keys in links.items() if keys}
    return found


def _without_nul(value: object) -> object:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [_without_nul(element) for element in value]
        case dict():
            return {
                key.replace("\0", "\ufffd"): _without_nul(element) for key, element in value.items()
            }
        case _:
            return value
