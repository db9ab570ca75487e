"""Which rules a change of a profile triggers: a segment, the persona or a trait became another.

Few rules ask for the same change, so each of those is asked for its condition. Traits that a
touchpoint changed stand in its own update; what else changes is told in an update of its own.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from services.orchestrator.domain.rule import Trigger, TriggerKind
from services.orchestrator.domain.update import Cause, Routed
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.facts import Facts

T = TypeVar("T")

SEGMENT_KINDS: Mapping[str, TriggerKind] = {
    "segment_entered": "segment_entered",
    "segment_left": "segment_left",
}
PERSONA: TriggerKind = "persona_changed"
TRAIT: TriggerKind = "trait_changed"


class ChangeIndex(Generic[T]):
    """Entries (rules) by the change that triggers them, and by what changed."""

    def __init__(self, entries: Iterable[tuple[Trigger, T]]) -> None:
        self._entries: dict[tuple[str, str | None], list[tuple[Holds | None, T]]] = {}
        traits: set[str] = set()
        kinds: set[str] = set()
        for trigger, entry in entries:
            if trigger.kind not in (*SEGMENT_KINDS, PERSONA, TRAIT):
                continue
            kinds.add(trigger.kind)
            holds = None if trigger.where is None else compile_condition(trigger.where)
            place = self._entries.setdefault((trigger.kind, trigger.subject), [])
            place.append((holds, entry))
            if trigger.kind == TRAIT and trigger.subject is not None:
                traits.add(trigger.subject)
        self._kinds = frozenset(kinds)
        self._traits = frozenset(traits)

    @property
    def is_empty(self) -> bool:
        """Whether no change triggers anything."""
        return not self._entries

    def concerns(self, update: Routed) -> bool:
        """Whether the update may trigger something; told before all of it is decoded."""
        cause = update.cause
        if cause.type is not None:
            return bool(update.changed) and not self._traits.isdisjoint(update.changed)
        if cause.kind not in self._kinds:
            return False
        return cause.segment is None or (cause.kind, cause.segment) in self._entries

    def match(self, cause: Cause, facts: Facts) -> list[T]:
        """The entries that the cause triggers, each once, in the order they were given."""
        found: dict[int, T] = {}
        for place in self._places(cause):
            for holds, entry in self._entries.get(place, ()):
                if holds is None or holds(facts):
                    found.setdefault(id(entry), entry)
        return list(found.values())

    def _places(self, cause: Cause) -> list[tuple[str, str | None]]:
        if cause.type is not None or cause.kind == TRAIT:
            return [(TRAIT, name) for name in sorted(self._traits.intersection(cause.changed))]
        if cause.kind in SEGMENT_KINDS:
            return [(cause.kind, cause.segment)]
        if cause.kind == PERSONA:
            return (
                [(PERSONA, None), (PERSONA, cause.persona)] if cause.persona else [(PERSONA, None)]
            )
        return []
