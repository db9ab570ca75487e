"""What is kept of a decision of identity, so that it can be explained and made again.

A `Note` names identifiers by their place in the touchpoint and never by value: the touchpoint is
the evidence, the note only says what was made of it. Plain touchpoints (every identifier known, on
one profile) need none.
"""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from services.profile.domain.identity import Broken, IdentityRules, Usable, is_type
from services.profile.domain.resolve import Resolution
from shared.contracts.identifiers import MAX_PER_TOUCHPOINT, RESERVED_TYPE
from shared.contracts.touchpoint import Identifier

Kind = Literal["create", "attach", "merge"]
Outcome = Literal[
    "matched", "added", "demoted", "unkept", "shared", "blocked", "link", "reserved", "beyond"
]


class NotedDemotion(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The identifier at a place was set aside: which rule the union would have broken, and the
    type that rule is about."""

    place: int
    rule: Broken
    type: str | None = None


class Note(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How a touchpoint came to its profile. The lists hold places in its identifiers."""

    kind: Kind | None
    new: list[int] = []
    demoted: list[NotedDemotion] = []
    unkept: list[int] = []
    shared: list[int] = []


Notes = dict[int, Note]
"""The notes of a batch, by the place of the touchpoint in it."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Notes)


def encode_notes(notes: Notes) -> bytes:
    return _encoder.encode(notes)


def decode_notes(data: bytes) -> Notes:
    """Raises msgspec.ValidationError when the bytes are no notes."""
    return _decoder.decode(data)


def note_of(
    identifiers: Sequence[Identifier],
    resolution: Resolution | None,
    aside: Collection[str],
    rules: IdentityRules,
) -> Note:
    """The note on a touchpoint; `aside` are its identifiers that many people use."""
    places: dict[str, int] = {}
    for place, one in enumerate(identifiers):
        key = key_by(one, rules)
        if key is not None:
            places.setdefault(key, place)
    shared = sorted(places[key] for key in aside)
    if resolution is None:
        return Note(None, shared=shared)
    return Note(
        resolution.kind,
        [places[key] for key in resolution.new if key in places],
        [NotedDemotion(places[key], *broken) for key, broken in resolution.demoted],
        [places[key] for key in resolution.unkept if key in places],
        shared,
    )


def key_by(identifier: Identifier, rules: IdentityRules) -> str | None:
    """The key of an identifier by these rules; None when it names nobody."""
    value = rules.form(identifier.type, identifier.value)
    return None if value is None else f"{identifier.type}\0{value}"


class Judged(NamedTuple):
    """What became of one identifier of a touchpoint, and why, in words.

    `rule` is the broken rule where one was, `key` None for what names nobody.
    """

    type: str
    value: str
    key: str | None
    outcome: Outcome
    rule: str | None
    because: str


def judge(
    identifiers: Sequence[Identifier], named: Usable, note: Note | None, rules: IdentityRules
) -> list[Judged]:
    """What was made of each identifier, in the touchpoint's order.

    `named` is what they came to by `rules`, those that were in force then; `note` None: it was
    plain.
    """
    demoted = {} if note is None else {one.place: one for one in note.demoted}
    new, unkept, shared = (
        (set(), set(), set())
        if note is None
        else (set(note.new), set(note.unkept), set(note.shared))
    )
    first: dict[str, int] = {}
    judged = []
    for place, one in enumerate(identifiers):
        key = key_by(one, rules) if is_type(one.type) else None
        at = place if key is None else first.setdefault(key, place)
        rule: str | None = None
        if one.type == RESERVED_TYPE and named.hint is not None:
            outcome, because = "reserved", "points at a profile; heeded if no identifier is known"
        elif key is not None and key in named.links:
            outcome, because = "link", f"{one.type} links people and never makes them one"
        elif key is None or key not in named.keys:
            outcome = rule = "blocked"
            because = "names nobody: the value is blocked or cannot be one"
            if key is not None and len(named.keys) == MAX_PER_TOUCHPOINT:
                outcome, rule, because = "beyond", "size", "weaker than those that are looked at"
        elif at in demoted:
            outcome, rule = "demoted", demoted[at].rule
            because = _why(demoted[at], rules)
        elif at in shared:
            outcome, rule, because = "shared", "shared", "many people use it: it unites nobody"
        elif at in unkept:
            outcome, rule = "unkept", "cap"
            because = f"the profile held {rules.max_identifiers} identifiers already"
        elif at in new:
            outcome, because = "added", "was not known and belongs to the profile since"
        else:
            outcome, because = "matched", "was known and belonged to the profile"
        judged.append(Judged(one.type, one.value, key, outcome, rule, because))  # type: ignore[arg-type]  # an outcome, as written above
    return judged


def _why(demotion: NotedDemotion, rules: IdentityRules) -> str:
    type_ = demotion.type
    if demotion.rule == "veto":
        return f"one profile would have had two values of {type_}, which only ever name two people"
    if demotion.rule == "limit" and type_ is not None:
        limit, within = rules.of(type_).limit, rules.of(type_).within
        span = "" if within is None else f" within {within.days} days"
        return f"one profile would have had more than {limit} values of {type_}{span}"
    if demotion.rule == "cannot_link":
        return "a person said that these profiles are not the same one's"
    return (
        f"the profile would have come from more than {rules.max_merges} merges or held more than "
        f"{rules.max_identifiers} identifiers"
    )
