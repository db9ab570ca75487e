"""The streams behind event leaves and traits: what each has to keep, and counting a touchpoint."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from services.profile.domain import kept as forms
from services.profile.domain.computing import holds_for, keep_for, value_text
from services.profile.domain.definitions import Stream
from services.profile.domain.kept import Holds
from services.profile.domain.numbers import exact_number, fraction_in_json, number_text
from services.profile.domain.trait import ComputedTrait, DeclaredTrait
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash, leaves_of
from shared.conditions.tree import Condition, EventCount
from shared.conditions.windows import latest_kept
from shared.contracts.touchpoint import TouchpointEnvelope

_objects = msgspec.json.Decoder(dict[str, object])
_exact_objects = msgspec.json.Decoder(dict[str, object], float_hook=fraction_in_json)
_OF_NUMBERS: tuple[Holds, ...] = ("total", "extremes", "numbers")


@dataclass(frozen=True, slots=True)
class Needed:
    """What a stream has to hold."""

    leaf: EventCount
    keep: int
    holds: Holds = "instants"
    of: str | None = None


def stream_of(leaf: EventCount) -> EventCount:
    """What leaves with different windows and counts have in common."""
    return EventCount(leaf.event, leaf.where)


def needed_streams(
    conditions: Iterable[Condition], computed: Iterable[ComputedTrait] = ()
) -> dict[str, Needed]:
    """The streams behind all event leaves and computed traits, by key."""
    needed: dict[str, Needed] = {}
    for condition in conditions:
        for leaf in leaves_of(condition):
            if isinstance(leaf, EventCount):
                keep = latest_kept(leaf.count) if leaf.within is not None else 0
                _need(needed, leaf_hash(stream_of(leaf)), Needed(stream_of(leaf), keep))
    for trait in computed:
        leaf = EventCount(trait.event, trait.where)
        need = Needed(leaf, keep_for(trait), holds_for(trait), trait.of)
        _need(needed, key_of_computed(trait), need)
    return needed


def _need(needed: dict[str, Needed], key: str, one: Needed) -> None:
    before = needed.get(key)
    if before is None or before.keep < one.keep:
        needed[key] = one


def key_of_computed(trait: ComputedTrait) -> str:
    """The stream that a computed trait is found from; event leaves share those of instants."""
    leaf, holds = EventCount(trait.event, trait.where), holds_for(trait)
    if holds == "instants":
        return leaf_hash(leaf)
    return _hash({"of": trait.of, "holds": holds, "stream": leaf_hash(leaf)})


def key_of_declared(trait: DeclaredTrait) -> str:
    """The stream of what was said of a declared trait: of how much its policy needs."""
    latest = trait.policy in ("latest", "source_priority")
    policy = "latest" if latest else trait.policy
    return _hash({"trait": trait.name, "type": trait.type, "policy": policy})


def _hash(document: dict[str, object]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


class Happening:
    """A touchpoint as streams read it; decoded when the first one asks."""

    __slots__ = ("_exact", "_facts", "touchpoint")

    def __init__(self, touchpoint: TouchpointEnvelope) -> None:
        self.touchpoint = touchpoint
        self._facts: Facts | None = None
        self._exact: Facts | None = None

    def facts(self) -> Facts:
        """What the `where` of an event leaf may read."""
        if self._facts is None:
            self._facts = _facts_of(self.touchpoint, _objects)
        return self._facts

    def exact(self) -> Facts:
        """The same with every number exact, for values that are aggregated."""
        if self._exact is None:
            self._exact = _facts_of(self.touchpoint, _exact_objects)
        return self._exact


def _facts_of(
    touchpoint: TouchpointEnvelope, decoder: msgspec.json.Decoder[dict[str, object]]
) -> Facts:
    return Facts(
        event=decoder.decode(touchpoint.properties),
        event_type=touchpoint.type,
        event_channel=touchpoint.channel,
        event_source=touchpoint.source,
        context=decoder.decode(touchpoint.context),
    )


def count_in_stream(
    profile: WorkingProfile, anchor: str, stream: Stream, happening: Happening, at: int
) -> bool:
    """Count a touchpoint of the stream's type on its anchor; False when it does not belong."""
    if stream.where is not None and not stream.where(happening.facts()):
        return False
    if stream.holds == "instants":
        profile.count_event(anchor, stream.key, at, stream.keep)
        return True
    return _count_value(profile, anchor, stream, happening, at)


def _count_value(
    profile: WorkingProfile, anchor: str, stream: Stream, happening: Happening, at: int
) -> bool:
    text, number = "", None
    if stream.of is not None:
        value = stream.of(happening.exact())
        if stream.holds in _OF_NUMBERS:
            number = exact_number(value)
            if number is None:
                return False
            text = number_text(number)
        else:
            found = value_text(value)
            if found is None:
                return False
            text = found
    profile.count_value(
        anchor, stream.key, lambda kept: forms.add(kept, stream.holds, at, text, number)
    )
    return True
