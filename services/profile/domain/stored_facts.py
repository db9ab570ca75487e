"""What the row of a profile keeps beside the encoded state: the facts that conditions in SQL read,
and the name that people are searched by."""

import msgspec

from services.profile.domain.profile import shown_traits
from services.profile.domain.search import Names, names_in
from services.profile.domain.working_profile import WorkingProfile

_encode = msgspec.json.Encoder(order="deterministic").encode
_NUL = b"\\u0000"


def stored_facts(profile: WorkingProfile) -> str | None:
    """`{traits, consents, segments, persona, events}` as JSON; None where what is stored is right.

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
