"""The identifiers of a profile as a fold asks for them, found once and then kept up to date.

A profile can hold thousands, and a storm of merges asks after each of them: so a touchpoint adds
its own identifiers here, and a merge those of the smaller side.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable

from services.profile.domain.identity import IdentityRules
from services.profile.domain.profile import ProfileState, keys_by_type, strongest_first
from shared.contracts.profile_update import MAX_SNAPSHOT_IDENTIFIERS

MAX_STRONG = 2 * MAX_SNAPSHOT_IDENTIFIERS
"""So many candidates for the list of a snapshot are kept before the weak ones are dropped."""
FEW = 8
"""Up to so many are put in their places one by one."""


class HeldKeys:
    """What is derived of the identifiers in a state. Times are RFC 3339 UTC, milliseconds, `Z`."""

    __slots__ = ("_apart", "_by_type", "_first_seen", "_state", "_strong")

    def __init__(self, state: ProfileState) -> None:
        self._state = state
        self.forget()

    def forget(self) -> None:
        """Identifiers went, or were put in: find everything anew."""
        self._by_type: dict[str, list[str]] | None = None
        self._first_seen: dict[str, list[str]] = {}
        self._strong: dict[str, set[str]] | None = None
        self._apart: set[str] | None = None

    def by_type(self) -> dict[str, list[str]]:
        """All of them by the name of their type."""
        if self._by_type is None:
            self._by_type = keys_by_type(self._state.held)
        return self._by_type

    def first_seen_between(self, type_: str, start: str, end: str) -> int:
        """How many of a type were first seen from `start` to `end`, both included."""
        instants = self.instants(type_)
        return bisect_right(instants, end) - bisect_left(instants, start)

    def apart(self) -> set[str]:
        """The identifiers that a person said are somebody else's."""
        if self._apart is None:
            self._apart = {
                key
                for held in self._state.held.values()
                if held.marks is not None
                for key in held.marks.apart
            }
        return self._apart

    def shown(self, rules: IdentityRules) -> list[str]:
        """Those that a snapshot lists, the strongest first.

        None grows weaker, so the strongest of many are among the strongest of before and those
        that were seen since.
        """
        state, most = self._state, MAX_SNAPSHOT_IDENTIFIERS
        if len(state.held) <= most:
            return strongest_first(state, self.by_type(), rules, most)
        if self._strong is None:
            found = strongest_first(state, self.by_type(), rules, most)
        else:
            found = strongest_first(state, self._strong, rules, most)
            if sum(map(len, self._strong.values())) <= MAX_STRONG:
                return found
        self._strong = _sets_by_type(found)
        return found

    def added(self, key: str, first_seen_at: str) -> None:
        """The profile holds one more."""
        name = key.partition("\0")[0]
        if self._by_type is not None:
            self._by_type.setdefault(name, []).append(key)
        if name in self._first_seen:
            insort(self._first_seen[name], first_seen_at)
        self.seen(key)

    def seen(self, key: str) -> None:
        """One of them was seen later than before."""
        if self._strong is not None:
            self._strong.setdefault(key.partition("\0")[0], set()).add(key)

    def earlier(self, key: str) -> None:
        """One of them was seen before it was first seen so far."""
        self._first_seen.pop(key.partition("\0")[0], None)

    def marked(self) -> None:
        """The marks of one may change."""
        self._apart = None

    def join(self, other: "HeldKeys") -> None:
        """Take over what another profile holds; to be called before the states are united."""
        apart = self.apart() | other.apart()
        strong, theirs = self.strongest_known(), other.strongest_known()
        if strong is not None and theirs is not None:
            for name, keys in theirs.items():
                strong.setdefault(name, set()).update(keys)
        self._strong = strong if theirs is not None else None
        for name, instants in self._first_seen.items():
            _put_in(instants, other.instants(name))
        self._by_type = _joined(self.by_type(), other.by_type())
        self._apart = apart

    def instants(self, type_: str) -> list[str]:
        """When those of a type were first seen, sorted."""
        found = self._first_seen.get(type_)
        if found is None:
            held = self._state.held
            found = sorted(held[key].first_seen_at for key in self.by_type().get(type_, ()))
            self._first_seen[type_] = found
        return found

    def strongest_known(self) -> dict[str, set[str]] | None:
        """Some by type, among which are those that would be shown; None: not known yet."""
        if self._strong is None and len(self._state.held) <= MAX_SNAPSHOT_IDENTIFIERS:
            return _sets_by_type(self._state.held)
        return self._strong


def _sets_by_type(keys: Iterable[str]) -> dict[str, set[str]]:
    return {name: set(of_type) for name, of_type in keys_by_type(keys).items()}


def _put_in(ordered: list[str], others: Collection[str]) -> None:
    if len(others) > FEW:
        ordered += others
        ordered.sort()
    else:
        for one in others:
            insort(ordered, one)


def _joined(one: dict[str, list[str]], other: dict[str, list[str]]) -> dict[str, list[str]]:
    """Both by type; one of the two is changed and returned."""
    if sum(map(len, one.values())) < sum(map(len, other.values())):
        one, other = other, one
    for name, keys in other.items():
        one.setdefault(name, []).extend(keys)
    return one
