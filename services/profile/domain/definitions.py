"""Everything in force that profiles are looked at by, compiled: segments, personas, event leaves.

Nodes are in an order in which each comes after those it refers to, so one pass decides them all;
bit n of a mask stands for node n. A touchpoint finds by its type which streams it may belong to,
and masks say which nodes a change can concern: nothing else is evaluated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from services.profile.domain.segment import Persona, Segment
from shared.conditions.closure import Holds
from shared.conditions.tree import (
    CountOp,
    EventCount,
)

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
    by_group: int = 0
    by_list: int = 0
    by_order: int = 0
    always: int = 0
    keys: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()

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
