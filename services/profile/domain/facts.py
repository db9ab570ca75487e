"""What the conditions in force may read of a profile at an instant; found when it is asked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from services.profile.domain.consent import holding
from services.profile.domain.definitions import Definitions
from services.profile.domain.groups import GroupKind
from services.profile.domain.instants import instant_text
from services.profile.domain.profile import computed
from services.profile.domain.standing import Standing
from services.profile.domain.survivorship import CONTEXT_TIMEZONE
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.facts import Facts
from shared.conditions.windows import count_in

_DECODE = msgspec.json.Decoder().decode
_objects = msgspec.json.Decoder(dict[str, object])
_NOTHING: Mapping[str, Any] = {}
_NEVER = {"count": 0}


def facts_of(profile: WorkingProfile, definitions: Definitions, now: int) -> Facts:
    """The facts of a profile that nothing changes meanwhile."""
    standing, held = profile.standing, profile.state.consents
    best = profile.survivors()

    def trait(name: str) -> object:
        value = best.get(name)
        return None if value is None or name == CONTEXT_TIMEZONE else _DECODE(value)

    def sum_of(name: str) -> object:
        defined = standing.computed.get(name)
        if defined is not None:
            return _DECODE(defined)
        if name == "touchpoints" and profile.total is not None:
            return profile.total.touchpoints
        return computed(profile.total)._asdict().get(name)

    def count(name: str) -> object:
        counted = definitions.counted_by_name.get(name)
        if counted is None:
            return None
        tally = profile.tallies.of(counted.stream, definitions.streams[counted.stream].keep)
        if tally is None:
            return _NEVER
        if counted.within is None:
            return {"count": tally.count}
        return {"count": count_in(tally.recent, counted.within, now)}

    return Facts(
        profile=_Found(trait),
        computed=_Found(sum_of),
        segments=standing.segments.keys(),
        persona=standing.persona,
        consents=holding(held, instant_text(now)) if held else {},
        leaves=_Found(count),
        household=_group(standing, "household"),
        account=_group(standing, "account"),
        links=_links(standing),
    )


def _group(standing: Standing, kind: GroupKind) -> Mapping[str, Any]:
    """Facts of the household or account: its id at once, the others once they were heard of."""
    id_, facts = standing.group(kind), standing.group_facts.get(kind)
    if id_ is None and facts is None:
        return _NOTHING
    heard = {} if facts is None else _objects.decode(facts)
    return {**heard, "id": id_}


def _links(standing: Standing) -> Mapping[str, Any]:
    if not standing.lists and not standing.accounts:
        return _NOTHING
    links = {"lists": list(standing.lists), "accounts": list(standing.accounts)}
    return {name: keys for name, keys in links.items() if keys}


class _Found(Mapping[str, Any]):
    """Facts that are looked for when a condition asks for them, once; None is none."""

    __slots__ = ("_find", "_known")

    def __init__(self, find: Callable[[str], object]) -> None:
        self._find = find
        self._known: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """The fact; `default` where there is none."""
        known = self._known
        if key in known:
            found = known[key]
        else:
            found = known[key] = self._find(key)
        return default if found is None else found

    def __getitem__(self, key: str) -> Any:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
