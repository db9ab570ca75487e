"""What was said of a profile's traits, and which value of each survives, kept fresh.

Surviving values are found when they are first asked for; after that a touchpoint contests them
with what it says, and a merge with the survivors of the smaller side.
"""

from collections.abc import Iterable, Mapping, Set

from services.profile.domain.profile import ProfileState, observations
from services.profile.domain.survivorship import (
    MAX_TRAITS,
    REMOVED,
    Best,
    Corrections,
    Observations,
    Saying,
    TraitPolicy,
    both,
    challenge,
    contest,
    corrected,
    observe,
    survivors,
    values_of,
    withdraw,
)


class HeldTraits:
    """The traits that hang on the identifiers of a state, which is changed in place."""

    __slots__ = ("_best", "_corrected", "_survivors", "policy", "state")

    def __init__(self, state: ProfileState, policy: TraitPolicy) -> None:
        self.state = state
        self.policy = policy
        self._best: Best | None = None
        """The surviving traits with what they won by, for the next merge; None: not asked yet."""
        self._corrected: Corrections | None = None
        """What was rectified; None: not asked yet."""
        self._survivors: Mapping[str, bytes] | None = None

    def survivors(self) -> Mapping[str, bytes]:
        """The surviving value of each trait over all anchors, if none was declared."""
        if self._survivors is None:
            if self._best is None:
                self._survivors = survivors(observations(self.state), self.policy)
            else:
                self._survivors = values_of(self._best)
        return self._survivors

    def corrections(self) -> Corrections:
        """The traits that were rectified, over all anchors."""
        if self._corrected is None:
            self._corrected = corrected(observations(self.state))
        return self._corrected

    def observe(self, anchor: str, said: Saying) -> bool:
        """Hang what a touchpoint said on its anchor, without what a correction covers; whether it
        may have changed anything."""
        heard = self._heard(anchor)
        corrections = self.corrections()
        for name in corrections.keys() & said.values.keys():
            if corrections[name].covers(said.occurred_at):
                del said.values[name]
        if not observe(heard, said):
            return False
        self._survivors = None
        if self._best is not None:
            if sum(len(one.values) for one in heard) < MAX_TRAITS:
                contest(self._best, [said], self.policy)
            else:  # what came later by name may be gone
                self._best = None
        return True

    def rectify(self, anchor: str, said: Saying) -> None:
        """Forget what was ever said of these traits, and hang what is right on an identifier."""
        for held in self.state.held.values():
            if held.traits is not None:
                withdraw(held.traits, said.values)
        observe(self._heard(anchor), said)
        self.forget()

    def changed_by(self, said: Saying, names: Set[str]) -> Set[str]:
        """Those of the names whose surviving value is not what is said of them anyway; to be asked
        before it is observed. What says the same as the survivor can only take its place."""
        best = self.survivors()
        if len(best) + len(said.values) > MAX_TRAITS:
            return names
        return {name for name in names if best.get(name, REMOVED) != said.values[name]}

    def join(self, other: "HeldTraits") -> None:
        """Take over the survivors of another profile, whose identifiers come here."""
        self._survivors = None
        if self._corrected is not None:
            self._corrected = both(self._corrected, other.corrections())
        mine, theirs = self._best_known(), other._best_known()  # noqa: SLF001 - another one of these
        large, small = (mine, theirs) if len(mine) >= len(theirs) else (theirs, mine)
        challenge(large, small)
        self._best = large

    def forget(self) -> None:
        """Find everything anew: the identifiers, or what was said, are others."""
        self._best = self._survivors = self._corrected = None

    def _heard(self, anchor: str) -> Observations:
        held = self.state.held[anchor]
        if held.traits is None:
            held.traits = []
        return held.traits

    def _best_known(self) -> Best:
        if self._best is None:
            self._best = {}
            contest(self._best, self._newest_first(), self.policy)
        return self._best

    def _newest_first(self) -> Iterable[Saying]:
        for held in reversed(self.state.held.values()):
            yield from held.traits or ()
