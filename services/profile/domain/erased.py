"""What is left of an erased person in the evidence: random names in place of identifiers.

Who is who has to be made again from the evidence for everybody else, and an erased person's
touchpoints had their part in it. So a touchpoint of hers is stripped to its id, its instants and
random names, and where others' evidence names her, the same random names stand. The names are drawn
for one erasure and are kept nowhere beside what they replaced.

A body that was changed begins with `keys`: the identifiers as they were trusted then, because a
random name does not sort like the value that it stands for.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from services.profile.domain.divide import Division
from services.profile.domain.evidence import key_by
from services.profile.domain.identity import ERASED_PREFIX, IdentityRules, Usable, usable
from services.profile.domain.profile import Marks, ProfileState
from services.profile.domain.rectify import Rectification
from services.profile.domain.replay import Apart, Decision
from services.profile.domain.unite import HandMerge
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.touchpoint import Identifier, TouchpointEnvelope, envelope_decoder

Names = Mapping[str, str]
"""Identifier (`type NUL value`) -> the random value that stands for it."""

ERASED, SUPPRESSED, EXPIRED = "erased", "suppressed", "expired"
"""Reasons of touchpoints: the person was erased; it came too late for that; it was kept long
enough, and only what identity and sums are made of is left."""

KEPT_PROPERTIES = ("total", "currency", "group_id", "group_type", "group_traits")
"""What is kept of an expired touchpoint's properties: what sums and groups were made of."""

_MARK = b'{"keys":'
_NO_CAUSE = b'{"kind":"erased"}'
_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Changed(msgspec.Struct):
    keys: list[tuple[str, str]]


_changed = msgspec.json.Decoder(_Changed)


def random_name(digits: str) -> str:
    """The value that stands for an erased one, of random hexadecimal digits."""
    return ERASED_PREFIX + digits


def is_random_name(key: str) -> bool:
    """Whether an identifier (`type NUL value`) stands for an erased one already."""
    return key.partition("\0")[2].startswith(ERASED_PREFIX)


def usable_then(touchpoint: TouchpointEnvelope, body: bytes, rules: IdentityRules) -> Usable:
    """What a stored touchpoint's identifiers came to by the rules of its time."""
    named = usable(touchpoint.identifiers, rules)
    if not body.startswith(_MARK):
        return named
    keys = [f"{type_}\0{value}" for type_, value in _changed.decode(body).keys]
    return named._replace(keys=keys)


def said_then(body: bytes, rules: IdentityRules) -> set[str]:
    """The identifiers (`type NUL value`) by which a stored touchpoint named a person or a device by
    the rules of its time, without erased ones. A household or an account is many people's, and what
    names nobody is nobody's."""
    keys = usable_then(envelope_decoder.decode(body), body, rules).keys
    return {key for key in keys if not is_random_name(key)}


def without_keys(body: bytes) -> bytes:
    """A stored touchpoint as people may see it: what it was trusted for is ours alone."""
    if not body.startswith(_MARK):
        return body
    return _encode({name: value for name, value in _fields(body).items() if name != "keys"})


def renamed(key: str, names: Names) -> str:
    """The identifier (`type NUL value`) with its random name if it has one."""
    name = names.get(key)
    return key if name is None else f"{key.partition(chr(0))[0]}\0{name}"


def stripped(body: bytes, rules: IdentityRules, names: Names) -> bytes:
    """What is kept of an erased person's touchpoint: id, source, instants, and identifiers under
    their random names; those that named nobody are blank. Places in the list stay."""
    touchpoint = envelope_decoder.decode(body)
    named = usable_then(touchpoint, body, rules)
    kept = set(named.keys)
    return _encode(
        {
            "keys": _pairs(named.keys, names),
            "id": touchpoint.id,
            "source": touchpoint.source,
            "channel": "",
            "type": "",
            "occurred_at": touchpoint.occurred_at,
            "received_at": touchpoint.received_at,
            "identifiers": [_stripped(one, kept, rules, names) for one in touchpoint.identifiers],
            "raw": touchpoint.raw,
        }
    )


def emptied(touchpoint: TouchpointEnvelope) -> bytes:
    """What is kept of a touchpoint that was never applied: that it came."""
    return _encode(
        {
            "id": touchpoint.id,
            "source": touchpoint.source,
            "channel": "",
            "type": "",
            "occurred_at": touchpoint.occurred_at,
            "received_at": touchpoint.received_at,
            "raw": touchpoint.raw,
        }
    )


def without_names(body: bytes, rules: IdentityRules, names: Names) -> bytes | None:
    """Somebody else's touchpoint with random names where it names an erased person; None when it
    does not. Everything else in it stays, byte for byte."""
    fields = _fields(body)
    touchpoint = envelope_decoder.decode(body)
    if touchpoint.has_audience:
        audience = replace_values(bytes(touchpoint.audience), names)
        if audience == bytes(touchpoint.audience):
            return None
        return _encode({**fields, "audience": msgspec.Raw(audience)})
    named = usable_then(touchpoint, body, rules)
    if names.keys().isdisjoint((*named.keys, *named.links)):
        return None
    identifiers = [
        Identifier(one.type, names[key])
        if (key := key_by(one, rules)) is not None and key in names
        else one
        for one in touchpoint.identifiers
    ]
    fields.pop("keys", None)
    return _encode({"keys": _pairs(named.keys, names), **fields, "identifiers": identifiers})


def expired(body: bytes) -> bytes:
    """What is kept of a touchpoint when its time is over: whom it named, what it said of traits,
    and the amount of an order; never its context, its other properties, or where it came from."""
    fields = _fields(body)
    touchpoint = envelope_decoder.decode(body)
    properties = msgspec.json.decode(touchpoint.properties, type=dict[str, msgspec.Raw])
    context = msgspec.json.decode(touchpoint.context, type=dict[str, msgspec.Raw])
    kept = {name: properties[name] for name in KEPT_PROPERTIES if name in properties}
    zone = {"timezone": context["timezone"]} if "timezone" in context else {}
    whole: dict[str, Any] = {
        name: value for name, value in fields.items() if name not in ("schema", "trace")
    }
    return _encode(whole | {"properties": kept, "context": zone})


def rename_marks(state: ProfileState, names: Names) -> int:
    """Put random names where the marks of somebody else's identifiers name an erased person, in
    place; how many marks changed."""
    changed = 0
    for held in state.held.values():
        marks = held.marks
        if marks is None or not {*marks.met, *marks.apart} & names.keys():
            continue
        held.marks = Marks(
            marks.shared,
            sorted(renamed(key, names) for key in marks.met),
            [renamed(key, names) for key in marks.apart],
        )
        changed += 1
    return changed


def rename_decision(decision: Decision, names: Names, held: Collection[str]) -> Decision:
    """What a person decided, with random names, and without the words in which it was told. `held`
    are all identifiers of those who are erased, those that many people use too: what was corrected
    hangs on one of them."""
    match decision:
        case HandMerge():
            return msgspec.structs.replace(decision, cause=_NO_CAUSE)
        case Division():
            return msgspec.structs.replace(
                decision,
                keys=[renamed(key, names) for key in decision.keys],
                apart=[
                    (renamed(one, names), renamed(other, names)) for one, other in decision.apart
                ],
                cause=_NO_CAUSE,
            )
        case Apart():
            return msgspec.structs.replace(
                decision, one=renamed(decision.one, names), other=renamed(decision.other, names)
            )
        case Rectification():
            hers = decision.anchor in held
            return msgspec.structs.replace(
                decision,
                anchor=renamed(decision.anchor, names),
                values={} if hers else decision.values,
            )


def rename_identifiers(listed: Iterable[Mapping[str, Any]], names: Names) -> list[dict[str, Any]]:
    """Identifiers of a cause (`{type, value}`) with their random names."""
    return [
        {**one, "value": names.get(f"{one['type']}\0{one['value']}", one["value"])}
        for one in listed
    ]


def quoted(key: str) -> bytes:
    """The value of an identifier as it stands in JSON."""
    return _encode(key.partition("\0")[2])


def written(key: str) -> bytes:
    """An identifier (`type NUL value`) as it stands in the JSON of a message."""
    return _encode(Identifier(*key.split("\0", 1)))


def replace_values(document: bytes, names: Names) -> bytes:
    """JSON with random names wherever a whole text is an erased value."""
    for key, name in names.items():
        document = document.replace(quoted(key), _encode(name))
    return document


def _pairs(keys: Iterable[str], names: Names) -> list[list[str]]:
    return [renamed(key, names).split("\0", 1) for key in keys]


def _stripped(one: Identifier, kept: set[str], rules: IdentityRules, names: Names) -> Identifier:
    if one.type == RESERVED_TYPE:
        return one
    key = key_by(one, rules)
    if key is None or key not in kept:
        return Identifier(one.type, "")
    return Identifier(one.type, names.get(key, one.value))
