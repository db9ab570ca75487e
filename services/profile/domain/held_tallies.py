"""How often things happened to a profile, over all its identifiers, kept fresh."""

from collections.abc import Callable

from services.profile.domain.kept import Kept
from services.profile.domain.profile import ProfileState
from services.profile.domain.tally import Tally, add, join


class HeldTallies:
    """The tallies that hang on the identifiers of a state, which is changed in place."""

    __slots__ = ("_joined", "state")

    def __init__(self, state: ProfileState) -> None:
        self.state = state
        self._joined: dict[str, tuple[int, Tally | None]] = {}
        """By stream: how many instants are kept, and the tally over all anchors."""

    def of(self, stream: str, keep: int) -> Tally | None:
        """The tally of a stream over all anchors; None where nothing was ever counted."""
        known = self._joined.get(stream)
        if known is None:
            hung = [
                held.events[stream]
                for held in self.state.held.values()
                if held.events is not None and stream in held.events
            ]
            known = self._joined[stream] = keep, join(hung, keep) if hung else None
        return known[1]

    def all_instants(self) -> dict[str, Tally]:
        """Every tally of instants over all anchors, by stream; all that are held."""
        streams: dict[str, list[Tally]] = {}
        for held in self.state.held.values():
            for stream, tally in (held.events or {}).items():
                if tally.kept is None:
                    streams.setdefault(stream, []).append(tally)
        return {
            stream: join(hung, sum(len(one.recent) for one in hung))
            for stream, hung in sorted(streams.items())
        }

    def on(self, anchor: str, stream: str) -> Tally:
        """The tally of a stream on one anchor, to be added to; see `forget`."""
        held = self.state.held[anchor]
        if held.events is None:
            held.events = {}
        tally = held.events.get(stream)
        if tally is None:
            tally = held.events[stream] = Tally(0, [])
        return tally

    def count(self, anchor: str, stream: str, at: int, keep: int) -> None:
        """Count a touchpoint of an instant (milliseconds since 1970) on its anchor."""
        add(self.on(anchor, stream), at, keep)
        known = self._joined.get(stream)
        if known is not None and known[1] is not None:
            add(known[1], at, known[0])
        else:
            self.forget(stream)

    def count_value(
        self, anchor: str, stream: str, add_to: Callable[[Kept | None], Kept | None]
    ) -> None:
        """Count a touchpoint in a stream of values, on its anchor; `add_to` adds the value to what
        is kept, and may change that in place."""
        known = self._joined.get(stream)
        tallies = [self.on(anchor, stream)]
        if known is None or known[1] is None:
            self.forget(stream)
        else:
            tallies.append(known[1])
        for tally in tallies:
            tally.count += 1
            tally.kept = add_to(tally.kept)

    def drop(self, stream: str) -> None:
        """Forget what was ever counted of a stream."""
        for held in self.state.held.values():
            if held.events is not None:
                held.events.pop(stream, None)
        self.forget(stream)

    def join(self, other: "HeldTallies") -> None:
        """Take over the tallies of another profile, whose identifiers come here."""
        for stream, (keep, tally) in self._joined.items():
            both = [one for one in (tally, other.of(stream, keep)) if one is not None]
            self._joined[stream] = keep, join(both, keep) if both else None

    def forget(self, stream: str | None = None) -> None:
        """Join the tallies of a stream, or of all, anew: they are others now."""
        if stream is None:
            self._joined = {}
        else:
            self._joined.pop(stream, None)
