"""What the row of a profile keeps beside the encoded state: the facts that conditions in SQL read,
and the name that people are searched by."""

import msgspec

from services.profile.domain.consent import Consents, about, consent_key, holding
from services.profile.domain.groups import KINDS
from services.profile.domain.profile import shown_traits
from services.profile.domain.search import Names, names_in
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.facts import GRANTED_UNTIL
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
    traits = {name: msgspec.Raw(best[name]) for name in shown_traits(best)}
    standing = profile.standing
    encoded = _encode(
        {
            "traits": traits,
            "consents": _consents(profile.state.consents),
            "segments": list(standing.segments),
            "persona": standing.persona,
            **_linked(profile),
            "events": {
                key: {"n": tally.count, "t": tally.recent}
                for key, tally in profile.all_tallies().items()
            },
        }
    )
    if _NUL in encoded:
        encoded = _encode(_without_nul(msgspec.json.decode(encoded)))
    return encoded.decode()


def searched_names(profile: WorkingProfile) -> Names | None:
    """The name that people are searched by; None where what is stored is right."""
    return None if profile.facts_stored else names_in(profile.survivors())


def _consents(held: Consents) -> dict[str, dict[str, str]]:
    """What holds for each purpose on each channel that is named anywhere, and on all others (`*`).

    A grant that expires is `granted until` its instant: only the query knows what time it is.
    """
    names = [about(key) for key in held]
    unexpired = holding(held, "")
    channels = sorted({channel for _, channel in names} | {EVERY})
    found: dict[str, dict[str, str]] = {}
    for purpose in sorted({purpose for purpose, _ in names}):
        by_channel = {
            channel: _with_end(held, purpose, channel, unexpired.get((purpose, channel)))
            for channel in channels
        }
        rest = by_channel[EVERY]
        found[purpose] = {
            channel: status
            for channel, status in by_channel.items()
            if status is not None and (channel == EVERY or status != rest)
        }
    return found


def _with_end(held: Consents, purpose: str, channel: str, status: str | None) -> str | None:
    if status != "granted":
        return status
    covering = (held.get(consent_key(purpose, name)) for name in (channel, EVERY))
    ends = [one.expires_at for one in covering if one is not None and one.said == "granted"]
    return status if None in ends else GRANTED_UNTIL + max(end for end in ends if end is not None)


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
