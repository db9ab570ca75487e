"""Makes `Definitions` of what is stored: finds the order, the streams and the masks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from services.profile.domain.definitions import (
    OF_ORDERS,
    PERSONAS,
    Choice,
    Computed,
    Counted,
    Declared,
    Definitions,
    InForce,
    Node,
    Registered,
    Stream,
    Use,
)
from services.profile.domain.segment import Persona, Segment
from services.profile.domain.streams import (
    key_of_computed,
    key_of_declared,
    needed_streams,
    stream_of,
)
from services.profile.domain.trait import BUILT_IN, ComputedTrait, DeclaredTrait
from shared.conditions.closure import compile_condition
from shared.conditions.facts import Location, locate, reader
from shared.conditions.leaves import leaf_hash, leaves_of
from shared.conditions.sentence import sentence
from shared.conditions.tree import (
    Compare,
    Condition,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
)
from shared.conditions.windows import milliseconds

LISTS = Location("links", ("lists",))
TOUCHPOINTS = Location("computed", ("touchpoints",))
NUMERIC_OPS = frozenset(("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "between"))


class CircleError(ValueError):
    """Definitions that refer to each other in a circle; `path` begins and ends with the same."""

    def __init__(self, path: list[str]) -> None:
        self.path = path
        super().__init__(" → ".join(path))


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
    personas = _personas(listed)
    since = {one.definition.key: one.since for one in listed if isinstance(one.definition, Segment)}
    asked: dict[str, list[Condition]] = {key: [one] for key, one in conditions.items()}
    if personas or personas_since:
        asked[PERSONAS] = [persona.condition for persona in personas]
        since[PERSONAS] = personas_since
    order = in_order({key: references_of(parts, asked) for key, parts in asked.items()})
    all_conditions = [condition for parts in asked.values() for condition in parts]
    every = [*all_conditions, *(one.leaf for one in registered)]
    computed = tuple(_computed(listed))
    streams = _streams(every, [one.trait for one in computed], streams_since, epoch)
    masks = _Masks(asked[key] for key in order)
    found_from = {one.trait.name: one.stream for one in computed}
    nodes = tuple(
        _node(key, asked[key], since[key], personas, masks.by_node[key], found_from)
        for key in order
    )
    return Definitions(
        epoch=epoch,
        floor=floor,
        nodes=nodes,
        streams=streams,
        by_type=_by_type(streams.values()),
        counted=_counted(every, {leaf_hash(one.leaf) for one in registered}),
        uses=tuple(dict.fromkeys(_uses(every))),
        traits=frozenset(masks.by_trait),
        by_trait=dict(masks.by_trait),
        by_stream=dict(masks.by_stream),
        by_consent=masks.by_consent,
        by_group=masks.by_group,
        by_list=masks.by_list,
        by_order=masks.by_order,
        by_touchpoints=dict(masks.by_touchpoints),
        always=masks.always,
        keys=frozenset(conditions),
        computed=computed,
        declared=_declared(listed, streams_since, epoch),
        by_computed=dict(masks.by_computed),
        lists=_lists(listed),
    )


def _lists(in_force: Iterable[InForce]) -> frozenset[str]:
    """The keys of static lists."""
    segments = (one for one, _ in in_force if isinstance(one, Segment))
    return frozenset(one.key for one in segments if one.static)


def _personas(in_force: Iterable[InForce]) -> list[Persona]:
    """The personas in the order in which they are asked."""
    personas = (one for one, _ in in_force if isinstance(one, Persona))
    return sorted(personas, key=lambda persona: (persona.order, persona.key))


def _computed(in_force: Iterable[InForce]) -> Iterable[Computed]:
    for trait, since in in_force:
        if isinstance(trait, ComputedTrait):
            yield Computed(trait, key_of_computed(trait), since)


def _declared(
    in_force: Iterable[InForce], streams_since: Mapping[str, int], epoch: int
) -> dict[str, Declared]:
    found = {}
    for trait, since in in_force:
        if isinstance(trait, DeclaredTrait):
            key = key_of_declared(trait)
            found[trait.name] = Declared(trait, key, streams_since.get(key, epoch), since)
    return found


def _streams(
    conditions: Iterable[Condition],
    computed: Iterable[ComputedTrait],
    since: Mapping[str, int],
    epoch: int,
) -> dict[str, Stream]:
    return {
        key: Stream(
            key,
            needed.leaf,
            needed.keep,
            since.get(key, epoch),
            None if needed.leaf.where is None else compile_condition(needed.leaf.where),
            needed.holds,
            None if needed.of is None else reader(needed.of),
        )
        for key, needed in needed_streams(conditions, computed).items()
    }


def _node(
    key: str,
    asked: list[Condition],
    since: int,
    personas: list[Persona],
    dependents: int,
    found_from: Mapping[str, str],
) -> Node:
    names = {name for condition in asked for name in computed_in(condition)}
    streams = frozenset(needed_streams(asked)) | {
        found_from[name] for name in names if name in found_from
    }
    if key != PERSONAS:
        return Node(key, compile_condition(asked[0]), (), since, streams, dependents)
    choices = tuple(
        Choice(one.key, compile_condition(one.condition), sentence(one.condition))
        for one in personas
    )
    return Node(key, None, choices, since, streams, dependents)


def computed_in(condition: Condition) -> Iterable[str]:
    """The computed traits, built in or not, that a condition asks for."""
    for leaf in leaves_of(condition):
        if isinstance(leaf, Compare):
            location = locate(leaf.attr)
            if location.root == "computed":
                yield location.path[0]


def _by_type(streams: Iterable[Stream]) -> Mapping[str, tuple[Stream, ...]]:
    by_type: defaultdict[str, list[Stream]] = defaultdict(list)
    for stream in streams:
        by_type[stream.leaf.event].append(stream)
    return {name: tuple(group) for name, group in by_type.items()}


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

    def __init__(self, nodes: Iterable[Iterable[Condition]]) -> None:
        self.by_trait: defaultdict[str, int] = defaultdict(int)
        self.by_stream: defaultdict[str, int] = defaultdict(int)
        self.by_computed: defaultdict[str, int] = defaultdict(int)
        self.by_node: defaultdict[str, int] = defaultdict(int)
        self.by_touchpoints: defaultdict[int, int] = defaultdict(int)
        self.by_consent = 0
        self.by_group = 0
        self.by_list = 0
        self.by_order = 0
        self.always = 0
        for bit, conditions in enumerate(nodes):
            for condition in conditions:
                self.add(condition, 1 << bit)

    def add(self, condition: Condition, bit: int) -> None:
        """Note what the condition of a node depends on."""
        for leaf in leaves_of(condition):
            match leaf:
                case Compare():
                    location = locate(leaf.attr)
                    if location.root == "profile":
                        self.by_trait[location.path[0]] |= bit
                    elif location == LISTS:
                        self.by_list |= bit
                    elif location.root in ("household", "account", "links"):
                        self.by_group |= bit
                    elif location.path[0] in OF_ORDERS:
                        self.by_order |= bit
                    elif turns := _turns(leaf, location):
                        for count in turns:
                            self.by_touchpoints[count] |= bit
                    elif location.path[0] in BUILT_IN:
                        self.always |= bit
                    else:
                        self.by_computed[location.path[0]] |= bit
                case EventCount():
                    self.by_stream[leaf_hash(stream_of(leaf))] |= bit
                case InSegment(segment):
                    self.by_node[segment] |= bit
                case IsPersona():
                    self.by_node[PERSONAS] |= bit
                case HasConsent():
                    self.by_consent |= bit


def _turns(leaf: Compare, location: Location) -> set[int]:
    """The counts of touchpoints at which a comparison with numbers may be answered otherwise than
    at one less; none for every other leaf."""
    operands = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    numbers = [one for one in operands if isinstance(one, int | float) and type(one) is not bool]
    if location != TOUCHPOINTS or leaf.op not in NUMERIC_OPS or len(numbers) < len(operands):
        return set()
    return {int(number // 1) + step for number in numbers for step in (0, 1)}


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
