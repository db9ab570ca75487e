"""A profile while a batch is folded into it: its state, and what is derived from it, kept fresh.

Sums over all anchors, surviving traits, tallies and the parts of the snapshot are computed when
they are first needed; after that a touchpoint adds its own, and a merge what the smaller side has,
so that neither costs what the whole profile holds. None of it may depend on the batch: a profile
that was stored and loaded in between must give the same bytes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

from services.profile.domain import sums as totals
from services.profile.domain.consent import most_restrictive
from services.profile.domain.groups import Group
from services.profile.domain.held_keys import HeldKeys
from services.profile.domain.held_tallies import HeldTallies
from services.profile.domain.held_traits import HeldTraits
from services.profile.domain.identity import IdentityRules
from services.profile.domain.kept import Kept
from services.profile.domain.profile import (
    Held,
    Marks,
    ProfileState,
    Status,
    StoredProfile,
    last_seen_at,
    overlaid,
    sums,
)
from services.profile.domain.standing import AT_ONCE, Standing, linked_to, unite
from services.profile.domain.survivorship import Saying, TraitPolicy


class WorkingProfile:
    """One profile of a fold. `status`, `seq`, `n_merges` and `state` are what will be stored."""

    __slots__ = (
        "_keys",
        "_total",
        "computed",
        "defined",
        "due_before",
        "facts_stored",
        "groups",
        "head",
        "id",
        "links_before",
        "live",
        "marked",
        "merged_into",
        "n_merges",
        "policy",
        "seq",
        "seq_before",
        "spare_facts",
        "state",
        "status",
        "tail",
        "tallies",
        "time_may_tell",
        "traits",
        "unheard",
    )

    def __init__(self, stored: StoredProfile, policy: TraitPolicy) -> None:
        self.id, self.n_merges = stored.id, stored.n_merges
        self.status: Status = stored.status
        self.merged_into = stored.merged_into
        self.seq = self.seq_before = stored.seq
        self.state: ProfileState = stored.state
        self.policy = policy
        self.marked = False
        """Whether an identifier's marks or a value changed that has to be kept, told or not."""
        self.head: bytes | None = None
        """The part of the snapshot that says who it is; None when it has to be made anew."""
        self.tail: bytes | None = None
        """The part of the snapshot with the traits; None as above."""
        self.facts_stored = stored.seq > 0
        """Whether the stored facts of conditions in SQL are still right, but for the sums."""
        self.live: bytes | None = None
        """The part of the snapshot with segments, persona and event leaves; None as above."""
        self.defined: dict[str, bytes] | None = None
        """Computed traits that people defined, as a snapshot has them, by name; None as above."""
        self.computed: bytes | None = None
        """All computed traits as a snapshot has them; None as above."""
        self.time_may_tell = False
        """Whether the next instant at which time alone changes something has to be found anew."""
        self.due_before = None if stored.state.standing is None else stored.state.standing.due
        self.links_before = linked_to(stored.state.standing)
        """Its groups and lists as they are stored."""
        self.groups: dict[str, Group] = {}
        """What groups it was found to belong to since, by id."""
        self.spare_facts: list[bytes] = []
        """What a profile that was united with it knew of its own groups."""
        self.unheard: set[str] = set()
        """Those of them of which nothing is known yet that conditions read."""
        self._total: totals.Sums | None = None
        self._keys = HeldKeys(stored.state)
        self.tallies = HeldTallies(stored.state)
        self.traits = HeldTraits(stored.state, policy)

    @property
    def changed(self) -> bool:
        """Whether it differs from what is stored: every change that is told takes a seq."""
        return self.marked or self.seq != self.seq_before

    def stored(self) -> StoredProfile:
        """The row as it will be stored."""
        return StoredProfile(
            self.id, self.status, self.merged_into, self.seq, self.n_merges, self.state
        )

    @property
    def standing(self) -> Standing:
        """What it is a member of, and which persona it has."""
        if self.state.standing is None:
            self.state.standing = Standing()
        return self.state.standing

    def count_event(self, anchor: str, stream: str, at: int, keep: int) -> None:
        """Count a touchpoint of an instant (milliseconds since 1970) in a stream, on its anchor."""
        self.tallies.count(anchor, stream, at, keep)
        self._tell_tallies()

    def count_value(
        self, anchor: str, stream: str, add_to: Callable[[Kept | None], Kept | None]
    ) -> None:
        """Count a touchpoint in a stream of values, on its anchor; `add_to` adds the value to what
        is kept, and may change that in place."""
        self.tallies.count_value(anchor, stream, add_to)
        self.time_may_tell = True

    def forget_tally(self, stream: str) -> None:
        """The tallies of the stream are others now: join them anew."""
        self.tallies.forget(stream)
        self._tell_tallies()

    def _tell_tallies(self) -> None:
        self.live = None
        self.facts_stored = False
        self.time_may_tell = True

    def forget_consents(self) -> None:
        """A consent changed: show it anew, and find anew when one expires."""
        self.head = None
        self.facts_stored = False
        self.time_may_tell = True

    def look_again(self, epoch: int) -> None:
        """Let the sweeper decide its memberships anew, at once. What the definitions up to `epoch`
        count is complete; only the history of newer ones has to be read."""
        self.standing.epoch, self.standing.due = epoch, AT_ONCE

    def forget_standing(self) -> None:
        """The standing changed: show it anew."""
        self.live = None
        self.facts_stored = False

    @property
    def size(self) -> int:
        return len(self.state.held)

    def types(self) -> Collection[str]:
        return self._keys.by_type()

    def keys_of(self, type_: str) -> Collection[str]:
        return self._keys.by_type().get(type_, ())

    def first_seen_between(self, type_: str, start: str, end: str) -> int:
        return self._keys.first_seen_between(type_, start, end)

    def holds(self, key: str) -> bool:
        return key in self.state.held

    def kept_apart(self) -> Collection[str]:
        return self._keys.apart()

    def marks_of(self, key: str) -> Marks:
        """The marks of an identifier it holds, to be changed in place; the change is kept."""
        self.marked = True
        self._keys.marked()
        held = self.state.held[key]
        if held.marks is None:
            held.marks = Marks()
        return held.marks

    def shown_keys(self, rules: IdentityRules) -> list[str]:
        """The identifiers that a snapshot lists: by type priority, within a type the one seen last
        first."""
        return self._keys.shown(rules)

    def strongest_key(self, rules: IdentityRules) -> str:
        """The identifier that facts hang on when a touchpoint has none of its own."""
        return min(self.state.held, key=rules.strength)

    @property
    def total(self) -> totals.Sums | None:
        """The sums over all anchors."""
        if self._total is None:
            self._total = totals.join(sums(self.state))
        return self._total

    @property
    def has_derived(self) -> bool:
        """Whether it has values of declared or computed traits."""
        standing = self.state.standing
        return standing is not None and bool(standing.computed or standing.traits)

    def survivors(self) -> Mapping[str, bytes]:
        """The surviving value of each trait over all anchors."""
        return overlaid(self.traits.survivors(), self.state)

    def forget_computed(self) -> None:
        """A computed trait that people defined has another value: show and store it."""
        self.defined = self.computed = None
        self.marked = True

    def forget_traits(self) -> None:
        """A declared trait has another value: show and store it."""
        self.tail = None
        self.facts_stored = False
        self.marked = True

    def see(self, key: str, occurred_at: str) -> None:
        """An identifier was seen; a new one is kept from now on."""
        state = self.state
        held = state.held.get(key)
        if held is None:
            state.held[key] = Held(occurred_at, occurred_at)
            self._keys.added(key, occurred_at)
            self.head = None
            return
        if occurred_at < held.first_seen_at:
            held.first_seen_at = occurred_at
            self._keys.earlier(key)
        if occurred_at > held.last_seen_at:
            held.last_seen_at = occurred_at
            if len(state.held) > 1:
                self.head = None
                self._keys.seen(key)

    def count(
        self, anchor: str, occurred_at: str, order: bool, revenue: totals.Revenue | None
    ) -> None:
        """Count a touchpoint on its anchor."""
        self.computed = None
        state = self.state
        total = self.total
        if total is None:
            total = self._total = totals.new_sums(occurred_at)
        held = state.held[anchor]
        if held.sums is None:
            held.sums = totals.new_sums(occurred_at)
        totals.add_touchpoint(held.sums, occurred_at, order, revenue)
        totals.add_touchpoint(total, occurred_at, order, revenue)
        if occurred_at > state.last_seen_at:
            state.last_seen_at = occurred_at

    def observe(self, anchor: str, said: Saying) -> None:
        """Hang what a touchpoint said about traits on its anchor."""
        if self.traits.observe(anchor, said):
            self.tail = None
            self.facts_stored = False

    def rectify(self, anchor: str, said: Saying, streams: Iterable[str]) -> None:
        """Forget what was ever said of these traits, also in the streams of those that are
        declared, and hang what is right on an identifier."""
        self.traits.rectify(anchor, said)
        for stream in streams:
            self.tallies.drop(stream)
            self._tell_tallies()
        self.tail = None
        self.facts_stored = False

    def absorb(self, loser: "WorkingProfile") -> None:
        """Take over everything the loser holds; the loser stays behind, empty and merged."""
        mine, theirs = self.state, loser.state
        self._join(loser)
        mine.held.update(theirs.held)
        mine.consents = most_restrictive(mine.consents, theirs.consents)
        mine.created_at = min(mine.created_at, theirs.created_at)
        mine.last_seen_at = max(mine.last_seen_at, theirs.last_seen_at)
        self.n_merges += loser.n_merges + 1
        self.spare_facts = list(loser.standing.group_facts.values())
        mine.standing = unite(self.standing, loser.standing)
        theirs.held, theirs.consents, theirs.standing = {}, {}, None
        loser.status, loser.merged_into = "merged", self.id
        loser.forget_derived()

    def _join(self, loser: "WorkingProfile") -> None:
        """Join what is derived of both, by what the smaller one has."""
        self.head = self.tail = self.live = self.defined = self.computed = None
        self.time_may_tell = True
        self.facts_stored = False
        self._total = totals.join(one for one in (self.total, loser.total) if one is not None)
        self._keys.join(loser._keys)  # noqa: SLF001 - another one of these
        self.traits.join(loser.traits)
        self.tallies.join(loser.tallies)

    def give(self, other: "WorkingProfile", keys: Iterable[str]) -> None:
        """Hand identifiers over to another profile, with every fact that hangs on them.

        Both keep at least one; `keys` are handed over in the order given.
        """
        mine, theirs = self.state, other.state
        for key in keys:
            theirs.held[key] = mine.held.pop(key)
        for state in (mine, theirs):
            state.last_seen_at = max(last_seen_at(held) for held in state.held.values())
        self.forget_derived()
        other.forget_derived()

    def forget_derived(self) -> None:
        """Compute everything that is derived from the state anew."""
        self.head = self.tail = self.live = self.defined = self.computed = None
        self._total = None
        self._keys.forget()
        self.traits.forget()
        self.tallies.forget()
        self.time_may_tell = True
        self.facts_stored = False
