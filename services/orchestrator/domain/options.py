"""An action and its fallbacks are one choice: which of them is taken, and why the others are not.

The options are asked in their order. The first one that passes is taken; a fallback that is not the
first is asked only when an option before it stopped for one of the reasons in its `on`.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.rule import ActionSpec

OptionGate = Callable[[int], Drop | None]
"""Asks about the option with a number: 0 is the action itself, n its n-th fallback."""

_KINDS = {
    "channel": "undeliverable",
    "consent": "no_consent",
    "suppression": "capped",
    "quiet_hours": "quiet",
    "cap": "capped",
}
"""From the stage at which an option stopped to the reason that a fallback names."""

_NOT_BROUGHT = frozenset(_KINDS.values())
NOT_ASKED = "fallback_not_for_this"
NOT_NEEDED = "not_needed"


@dataclass(slots=True, eq=False)
class Choice:
    """The options for the action with an index; `taken` is the one that passed what was asked so
    far, `dropped` says why those before it did not."""

    index: int
    specs: Sequence[ActionSpec]
    ons: Sequence[frozenset[str] | None]
    order: Sequence[int]
    taken: int | None = None
    dropped: dict[int, Drop] = field(default_factory=dict)

    @property
    def spec(self) -> ActionSpec:
        """The option that was taken; there has to be one."""
        assert self.taken is not None  # noqa: S101 - asked only of open choices
        return self.specs[self.taken]

    def walk(self, gate: OptionGate, *, tried: Collection[int] = (), reason: str = "") -> bool:
        """Take the first option that passes; whether one did.

        With `tried`, only others than these, of which the last came to nothing for the `reason`.
        The action itself then stands in only for what could not be brought to the customer.
        """
        self.taken, self.dropped = None, {}
        kinds = {reason} if reason else set()
        for place, option in enumerate(self.order):
            if option in tried:
                continue
            on = self.ons[option]
            if tried and on is None:
                on = _NOT_BROUGHT
            if (place or tried) and on is not None and not kinds & on:
                self.dropped[option] = _not_asked(on, kinds)
                continue
            drop = gate(option)
            if drop is None:
                self.taken = option
                return True
            self.dropped[option] = drop
            kinds.add(kind_of(drop))
        return False

    def passed_over(self) -> dict[int, Drop]:
        """Every option that was not taken, with why."""
        found = dict(self.dropped)
        if self.taken is not None:
            place = self.order.index(self.taken)
            found |= {option: _not_needed(self.specs[option]) for option in self.order[place + 1 :]}
        return found


def choice_of(index: int, spec: ActionSpec, order: Sequence[int] | None = None) -> Choice:
    """The choice that an action of a rule is; `order` is another order of its options."""
    return Choice(
        index=index,
        specs=(spec, *(fallback.spec for fallback in spec.fallback)),
        ons=(None, *(fallback.on for fallback in spec.fallback)),
        order=range(1 + len(spec.fallback)) if order is None else order,
    )


def kind_of(drop: Drop) -> str:
    """The reason for which a fallback may be taken instead of an option that was dropped."""
    return _KINDS[drop.stage]


def furthest(choices: Iterable[Choice]) -> Drop:
    """Of everything that stopped: what came furthest; a fallback that was not asked did not."""
    stopped = [
        drop for choice in choices for drop in choice.dropped.values() if drop.reason != NOT_ASKED
    ]
    return max(stopped, key=lambda drop: tuple(_KINDS).index(drop.stage))


def _not_asked(on: frozenset[str], kinds: Iterable[str]) -> Drop:
    wanted = sorted(on)
    words = f"an option before it stopped for: {', '.join(wanted)}"
    return Drop("channel", NOT_ASKED, words, wanted, sorted(kinds))


def _not_needed(spec: ActionSpec) -> Drop:
    return Drop("arbitration", NOT_NEEDED, f"nothing before {spec.channel} could be done")
