"""The facts of a profile as its row keeps them for conditions in SQL, beside the encoded state."""

import msgspec

from services.profile.domain.groups import KINDS
from services.profile.domain.profile import shown_traits
from services.profile.domain.working_profile import WorkingProfile

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
    consents: dict[str, dict[str, str]] = {}
    for key, record in profile.state.consents.items():
        purpose, _, channel = key.partition("\0")
        consents.setdefault(purpose, {})[channel] = record.status
    standing = profile.standing
    encoded = _encode(
        {
            "traits": traits,
            "consents": consents,
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
