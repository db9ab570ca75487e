"""What a profile is a member of, which persona it has, and what this was decided by."""

import msgspec

UNKNOWN_EPOCH = -1
"""Decided by nobody knows what: everything has to be looked at again, the history too."""
AT_ONCE = 0
"""A due instant that lies before every other."""


class Standing(msgspec.Struct, array_like=True, gc=False):
    """`segments` maps a segment to when it was entered (RFC 3339 UTC). `epoch` is that of the
    definitions all this was last decided by. `due` is the instant (milliseconds since 1970) at
    which time alone can change it; None when it cannot. `computed` and `traits` are the values of
    computed and of declared traits as they were last found (JSON); `null`: there is none to show.
    """

    epoch: int = 0
    segments: dict[str, str] = {}
    persona: str | None = None
    reason: str | None = None
    due: int | None = None
    computed: dict[str, bytes] = {}
    traits: dict[str, bytes] = {}


def unite(winner: Standing, loser: Standing) -> Standing:
    """The standing of two profiles that become one, before it is decided again.

    Who was a member under either id is one, so nobody enters twice. Were the two decided by
    different definitions, nobody knows what holds for both.
    """
    segments = dict(winner.segments)
    for key, at in loser.segments.items():
        segments[key] = min(at, segments.get(key, at))
    same = winner.epoch == loser.epoch
    instants = [due for due in (winner.due, loser.due) if due is not None]
    return Standing(
        epoch=winner.epoch if same else UNKNOWN_EPOCH,
        segments=dict(sorted(segments.items())),
        persona=winner.persona,
        reason=winner.reason,
        due=min(instants, default=None) if same else AT_ONCE,
        computed=loser.computed | winner.computed,
        traits=loser.traits | winner.traits,
    )
