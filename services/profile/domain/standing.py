"""What a profile is a member of, which persona it has, and what this was decided by."""

from typing import NamedTuple

import msgspec

from services.profile.domain.groups import GroupKind

AT_ONCE = 0
"""A due instant that lies before every other. Until then the epoch of the profile itself counts,
not what all others were looked at by: a job may have passed it by."""


class Standing(msgspec.Struct, array_like=True, gc=False):
    """`segments` maps a segment to when it was entered (RFC 3339 UTC). `epoch` is that of the
    definitions all this was last decided by. `due` is the instant (milliseconds since 1970) at
    which time alone can change it; None when it cannot. `computed` and `traits` are the values of
    computed and of declared traits as they were last found (JSON); `null`: there is none to show.
    `household` and `accounts` are the ids of its groups, `lists` the static lists it is on;
    `group_facts` is what was last heard of the household and of the first account, as JSON, by
    kind: none until the sweeper brought it.
    """

    epoch: int = 0
    segments: dict[str, str] = {}
    persona: str | None = None
    reason: str | None = None
    due: int | None = None
    computed: dict[str, bytes] = {}
    traits: dict[str, bytes] = {}
    household: str | None = None
    accounts: list[str] = []
    lists: list[str] = []
    group_facts: dict[GroupKind, bytes] = {}

    def group(self, kind: GroupKind) -> str | None:
        """The household, or the account linked last: the one whose facts conditions read."""
        if kind == "household":
            return self.household
        return self.accounts[0] if self.accounts else None


class LinkedTo(NamedTuple):
    """The ids of a profile's household and accounts, the one linked last first, and the keys of
    its static lists."""

    household: str | None
    accounts: tuple[str, ...]
    lists: tuple[str, ...]

    @property
    def groups(self) -> frozenset[str]:
        """The ids of all groups."""
        return frozenset([*self.accounts, *([self.household] if self.household else [])])

    def group(self, kind: GroupKind) -> str | None:
        """The household, or the account linked last."""
        if kind == "household":
            return self.household
        return self.accounts[0] if self.accounts else None


NOTHING = LinkedTo(None, (), ())


def linked_to(standing: Standing | None) -> LinkedTo:
    """The groups and lists that a standing has."""
    if standing is None or not (standing.household or standing.accounts or standing.lists):
        return NOTHING
    return LinkedTo(standing.household, tuple(standing.accounts), tuple(standing.lists))


def unite(winner: Standing, loser: Standing) -> Standing:
    """The standing of two profiles that become one, before it is decided again.

    Who was a member under either id is one, so nobody enters twice. Were the two decided by
    different definitions, both have the history of the older ones, and the rest is read at once.
    """
    segments = dict(winner.segments)
    for key, at in loser.segments.items():
        segments[key] = min(at, segments.get(key, at))
    same = winner.epoch == loser.epoch
    instants = [due for due in (winner.due, loser.due) if due is not None]
    return Standing(
        epoch=min(winner.epoch, loser.epoch),
        segments=dict(sorted(segments.items())),
        persona=winner.persona,
        reason=winner.reason,
        due=min(instants, default=None) if same else AT_ONCE,
        computed=loser.computed | winner.computed,
        traits=loser.traits | winner.traits,
        household=winner.household,
        accounts=winner.accounts,
        lists=winner.lists,
        group_facts=winner.group_facts,
    )
