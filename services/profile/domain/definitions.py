"""Everything in force that profiles are looked at by, compiled: segments, personas, event leaves.

Nodes are in an order in which each comes after those it refers to, so one pass decides them all;
bit n of a mask stands for node n. A touchpoint finds by its type which streams it may belong to,
and masks say which nodes a change can concern: nothing else is evaluated.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from services.profile.domain.computing import value_of
from services.profile.domain.kept import Holds as Form
from services.profile.domain.segment import Persona, Segment
from services.profile.domain.trait import ComputedTrait, DeclaredTrait, Trait, TraitsInForce
from shared.conditions.closure import Holds
from shared.conditions.facts import Read
from shared.conditions.tree import (
    CountOp,
    EventCount,
)

OF_ORDERS = ("orders", "revenue")
"""Computed traits that only an order changes; the others can change with every touchpoint."""

PERSONAS = "$persona"
"""The name of the one node that stands for all personas."""


class InForce(NamedTuple):
    """A segment, persona or trait, and the epoch since which it is what it is."""

    definition: Segment | Persona | Trait
    since: int


class Registered(NamedTuple):
    """An event leaf that somebody wants to see in snapshots."""

    leaf: EventCount
    since: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Touchpoints of a type for which `where` holds. `keep` instants of them are held, or what
    `holds` says of the values that `of` finds; profiles that were not looked at since epoch
    `since` may lack some."""

    key: str
    leaf: EventCount
    keep: int
    since: int
    where: Holds | None
    holds: Form = "instants"
    of: Read | None = None


class Computed(NamedTuple):
    """A computed trait, the stream it is found from, and the epoch of its definition."""

    trait: ComputedTrait
    stream: str
    since: int


class Declared(NamedTuple):
    """A declared trait, the stream of what was said of it, the epoch since which that is kept, and
    the epoch of its definition."""

    trait: DeclaredTrait
    stream: str
    kept_since: int
    since: int


class Use(NamedTuple):
    """A question about a stream whose answer time alone can change."""

    stream: str
    within: int
    op: CountOp
    bound: int


class Counted(NamedTuple):
    """An event leaf by its hash; `within` in milliseconds."""

    name: str
    stream: str
    within: int | None
    shown: bool


class Choice(NamedTuple):
    """One persona of the persona node."""

    key: str
    holds: Holds
    reason: str


@dataclass(frozen=True, slots=True)
class Node:
    """A segment, or all personas (`choices`)."""

    key: str
    holds: Holds | None
    choices: tuple[Choice, ...]
    since: int
    streams: frozenset[str]
    dependents: int = 0


@dataclass(frozen=True)
class Definitions:
    """All of them, at one epoch. `floor`: every profile was looked at by the definitions of that
    epoch, also where its row does not say so. `by_touchpoints` has the nodes that only ask whether
    the number of touchpoints is in some range, by the numbers at which the answer turns."""

    epoch: int = 0
    floor: int = 0
    nodes: tuple[Node, ...] = ()
    streams: Mapping[str, Stream] = field(default_factory=dict)
    by_type: Mapping[str, tuple[Stream, ...]] = field(default_factory=dict)
    counted: tuple[Counted, ...] = ()
    uses: tuple[Use, ...] = ()
    traits: frozenset[str] = frozenset()
    by_trait: Mapping[str, int] = field(default_factory=dict)
    by_stream: Mapping[str, int] = field(default_factory=dict)
    by_consent: int = 0
    by_group: int = 0
    by_list: int = 0
    by_order: int = 0
    by_touchpoints: Mapping[int, int] = field(default_factory=dict)
    always: int = 0
    keys: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    computed: tuple[Computed, ...] = ()
    declared: Mapping[str, Declared] = field(default_factory=dict)
    by_computed: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def has_traits(self) -> bool:
        """Whether any trait is declared or computed."""
        return bool(self.computed or self.declared)

    @cached_property
    def traits_in_force(self) -> TraitsInForce:
        """The traits that people defined."""
        computed = (one.trait for one in self.computed)
        return TraitsInForce.of([*computed, *(one.trait for one in self.declared.values())])

    @cached_property
    def computed_by_stream(self) -> Mapping[str, tuple[Computed, ...]]:
        """The computed traits that a stream can change."""
        return {
            key: tuple(one for one in self.computed if one.stream == key)
            for key in {one.stream for one in self.computed}
        }

    @cached_property
    def initial(self) -> Mapping[str, bytes]:
        """The computed traits of somebody of whom nothing is known."""
        found = ((one.trait.name, value_of(one.trait, None, 0)) for one in self.computed)
        return {name: value for name, value in found if value is not None}

    @cached_property
    def everyone(self) -> int:
        """The mask of all nodes."""
        return (1 << len(self.nodes)) - 1

    @cached_property
    def shown(self) -> tuple[Counted, ...]:
        """The event leaves that snapshots have."""
        return tuple(one for one in self.counted if one.shown)

    @cached_property
    def counted_by_name(self) -> Mapping[str, Counted]:
        """The event leaves in force by their hash."""
        return {one.name: one for one in self.counted}

    @cached_property
    def personas(self) -> frozenset[str]:
        """The personas in force."""
        return frozenset(choice.key for node in self.nodes for choice in node.choices)

    @cached_property
    def newest_stream(self) -> int:
        """The last epoch that asked for something of the history."""
        streams = [stream.since for stream in self.streams.values()]
        return max([*streams, *(one.kept_since for one in self.declared.values())], default=0)

    def since(self, epoch: int) -> int:
        """The nodes that are newer than an epoch."""
        return sum(1 << bit for bit, node in enumerate(self.nodes) if node.since > epoch)

    def ready(self, epoch: int) -> int:
        """The nodes that a profile of an older epoch can be asked: it lacks no history of theirs,
        nor of those they refer to."""
        if epoch >= self.newest_stream:
            return self.everyone
        mask = self.everyone
        for bit, node in enumerate(self.nodes):
            lacking = any(self.streams[key].since > epoch for key in node.streams)
            if lacking:
                mask &= ~(1 << bit)
            if not mask >> bit & 1:
                mask &= ~node.dependents
        return mask


NONE = Definitions()


class Look(NamedTuple):
    """What profiles are looked at by, and the instant (milliseconds since 1970) of the look."""

    definitions: Definitions = NONE
    now: int = 0


NO_LOOK = Look()


class Missing(NamedTuple):
    """A segment or persona that a condition names and that is not in force; `says` so in words."""

    rule: Literal["unknown_segment", "unknown_persona"]
    says: str


def not_in_force(
    segments: Iterable[str], personas: Iterable[str], definitions: Definitions
) -> Missing | None:
    """What a condition names that nobody can be asked about: the first by name, segments before
    personas; None if there is none."""
    for name in sorted(set(segments) - definitions.keys):
        return Missing("unknown_segment", f"no segment {name[:100]} is in force")
    for name in sorted(set(personas) - definitions.personas):
        return Missing("unknown_persona", f"no persona {name[:100]} is in force")
    return None
