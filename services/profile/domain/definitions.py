"""Everything in force that profiles are looked at by, compiled: segments, personas, event leaves.

Nodes are in an order in which each comes after those it refers to, so one pass decides them all;
bit n of a mask stands for node n. A touchpoint finds by its type which streams it may belong to,
and masks say which nodes a change can concern: nothing else is evaluated.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from services.profile.domain.segment import Persona, Segment
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.facts import locate
from shared.conditions.leaves import leaf_hash, leaves_of
from shared.conditions.sentence import sentence
from shared.conditions.tree import (
    Compare,
    Condition,
    CountOp,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
)
from shared.conditions.windows import latest_kept, milliseconds

OF_ORDERS = ("orders", "revenue")
"""Computed traits that only an order changes; the others change with every touchpoint."""

PERSONAS = "$persona"
"""The name of the one node that stands for all personas."""


class InForce(NamedTuple):
    """A segment or persona, and the epoch since which it is what it is."""

    definition: Segment | Persona
    since: int


class Registered(NamedTuple):
    """An event leaf that somebody wants to see in snapshots."""

    leaf: EventCount
    since: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Touchpoints of a type for which `where` holds. `keep` instants of them are held; profiles
    that were not looked at since epoch `since` may lack some."""

    key: str
    leaf: EventCount
    keep: int
    since: int
    where: Holds | None


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


class CircleError(ValueError):
    """Definitions that refer to each other in a circle; `path` begins and ends with the same."""

    def __init__(self, path: list[str]) -> None:
        self.path = path
        super().__init__(" → ".join(path))


@dataclass(frozen=True, slots=True)
class Needed:
    """What the streams of some definitions have to hold."""

    leaf: EventCount
    keep: int


def stream_of(leaf: EventCount) -> EventCount:
    """What leaves with different windows and counts have in common."""
    return EventCount(leaf.event, leaf.where)


def needed_streams(conditions: Iterable[Condition]) -> dict[str, Needed]:
    """The streams behind all event leaves, by key."""
    needed: dict[str, Needed] = {}
    for condition in conditions:
        for leaf in leaves_of(condition):
            if isinstance(leaf, EventCount):
                key = leaf_hash(stream_of(leaf))
                keep = latest_kept(leaf.count) if leaf.within is not None else 0
                before = needed.get(key)
                if before is None or before.keep < keep:
                    needed[key] = Needed(stream_of(leaf), keep)
    return needed


@dataclass(frozen=True)
class Definitions:
    """All of them, at one epoch. `floor`: every profile was looked at by the definitions of that
    epoch, also where its row does not say so."""

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
    by_order: int = 0
    always: int = 0
    keys: frozenset[str] = frozenset()

    @cached_property
    def everyone(self) -> int:
        """The mask of all nodes."""
        return (1 << len(self.nodes)) - 1

    @cached_property
    def counted_by_name(self) -> Mapping[str, Counted]:
        """The event leaves in force by their hash."""
        return {one.name: one for one in self.counted}

    @cached_property
    def newest_stream(self) -> int:
        """The last epoch that asked for something of the history."""
        return max((stream.since for stream in self.streams.values()), default=0)

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


def compile_definitions(
    *,
    epoch: int,
    floor: int,
    in_force: Iterable[InForce],
    personas_since: int = 0,
    leaves: Iterable[Registered] = (),
    streams_since: Mapping[str, int],
) -> Definitions:
    """Compile what is in force. `streams_since`: the epoch of each stream's last growth.

    Raises CircleError when definitions refer to each other in a circle.
    """
    listed, registered = list(in_force), list(leaves)
    conditions = {
        one.definition.key: one.definition.condition
        for one in listed
        if isinstance(one.definition, Segment)
    }
    personas = sorted(
        (one.definition for one in listed if isinstance(one.definition, Persona)),
        key=lambda persona: (persona.order, persona.key),
    )
    since = {one.definition.key: one.since for one in listed if isinstance(one.definition, Segment)}
    asked: dict[str, list[Condition]] = {key: [one] for key, one in conditions.items()}
    if personas or personas_since:
        asked[PERSONAS] = [persona.condition for persona in personas]
        since[PERSONAS] = personas_since
    order = in_order({key: references_of(parts, asked) for key, parts in asked.items()})
    bits = {key: bit for bit, key in enumerate(order)}
    all_conditions = [condition for parts in asked.values() for condition in parts]
    every = [*all_conditions, *(one.leaf for one in registered)]
    streams = {
        key: Stream(
            key,
            needed.leaf,
            needed.keep,
            streams_since.get(key, epoch),
            None if needed.leaf.where is None else compile_condition(needed.leaf.where),
        )
        for key, needed in needed_streams(every).items()
    }
    masks = _Masks()
    for key in order:
        for condition in asked[key]:
            masks.add(condition, 1 << bits[key])
    nodes = tuple(
        Node(
            key,
            None if key == PERSONAS else compile_condition(asked[key][0]),
            tuple(
                Choice(one.key, compile_condition(one.condition), sentence(one.condition))
                for one in personas
            )
            if key == PERSONAS
            else (),
            since[key],
            frozenset(needed_streams(asked[key])),
            masks.by_node[key],
        )
        for key in order
    )
    by_type: defaultdict[str, list[Stream]] = defaultdict(list)
    for stream in streams.values():
        by_type[stream.leaf.event].append(stream)
    return Definitions(
        epoch=epoch,
        floor=floor,
        nodes=nodes,
        streams=streams,
        by_type={name: tuple(group) for name, group in by_type.items()},
        counted=_counted(every, {leaf_hash(one.leaf) for one in registered}),
        uses=tuple(dict.fromkeys(_uses(every))),
        traits=frozenset(masks.by_trait),
        by_trait=dict(masks.by_trait),
        by_stream=dict(masks.by_stream),
        by_consent=masks.by_consent,
        by_order=masks.by_order,
        always=masks.always,
        keys=frozenset(conditions),
    )


def references_of(conditions: Iterable[Condition], known: Iterable[str]) -> set[str]:
    """The nodes that conditions refer to, as far as they are known."""
    found = set()
    for condition in conditions:
        for leaf in leaves_of(condition):
            if isinstance(leaf, InSegment):
                found.add(leaf.segment)
            elif isinstance(leaf, IsPersona):
                found.add(PERSONAS)
    return found & set(known)


def in_order(references: Mapping[str, set[str]]) -> list[str]:
    """The keys, each after those it refers to; always the same order. Raises CircleError."""
    sorter: TopologicalSorter[str] = TopologicalSorter(
        {key: sorted(references[key]) for key in sorted(references)}
    )
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise CircleError([str(key) for key in reversed(error.args[1])]) from error


class _Masks:
    """Which nodes a change of something can concern."""

    def __init__(self) -> None:
        self.by_trait: defaultdict[str, int] = defaultdict(int)
        self.by_stream: defaultdict[str, int] = defaultdict(int)
        self.by_node: defaultdict[str, int] = defaultdict(int)
        self.by_consent = 0
        self.by_order = 0
        self.always = 0

    def add(self, condition: Condition, bit: int) -> None:
        """Note what the condition of a node depends on."""
        for leaf in leaves_of(condition):
            match leaf:
                case Compare(attr):
                    location = locate(attr)
                    if location.root == "profile":
                        self.by_trait[location.path[0]] |= bit
                    elif location.path[0] in OF_ORDERS:
                        self.by_order |= bit
                    else:
                        self.always |= bit
                case EventCount():
                    self.by_stream[leaf_hash(stream_of(leaf))] |= bit
                case InSegment(segment):
                    self.by_node[segment] |= bit
                case IsPersona():
                    self.by_node[PERSONAS] |= bit
                case HasConsent():
                    self.by_consent |= bit


def _event_leaves(conditions: Iterable[Condition]) -> Iterable[EventCount]:
    for condition in conditions:
        for leaf in leaves_of(condition):
            if isinstance(leaf, EventCount):
                yield leaf


def _counted(conditions: Iterable[Condition], shown: set[str]) -> tuple[Counted, ...]:
    found: dict[str, Counted] = {}
    for leaf in _event_leaves(conditions):
        name = leaf_hash(leaf)
        within = None if leaf.within is None else milliseconds(leaf.within)
        found[name] = Counted(name, leaf_hash(stream_of(leaf)), within, name in shown)
    return tuple(found[name] for name in sorted(found))


def _uses(conditions: Iterable[Condition]) -> Iterable[Use]:
    for leaf in _event_leaves(conditions):
        if leaf.within is not None:
            yield Use(
                leaf_hash(stream_of(leaf)), milliseconds(leaf.within), leaf.count_op, leaf.count
            )
