"""One profile becomes two: a merge is undone, or identifiers are split off.

Identifiers change hands with every fact that hangs on them, so each side has exactly its own sums
and traits again. What was divided is kept apart from then on, whatever touchpoints say.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from services.profile.domain.assess import epoch_of
from services.profile.domain.belonging import find_links
from services.profile.domain.consent import ConsentRecord, Consents, most_restrictive
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.derive import derive_all
from services.profile.domain.identity import IdentityRules
from services.profile.domain.profile import ProfileState, StoredProfile
from services.profile.domain.snapshot import Link
from services.profile.domain.survivorship import TraitPolicy
from services.profile.domain.telling import Told, tell
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import Identifier


class SplitCause(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why a profile was divided: a person undid a merge (`merge_id`) or split identifiers off."""

    kind: str = "split"
    id: str
    merge_id: str | None = None
    source: str
    target: str
    moved: list[Identifier]
    actor: str
    why: str
    at: str


Pair = tuple[str, str]
"""Two identifiers that are not the same one's."""


class Division(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="division"):
    """What a person decided, complete: applying it again gives the same profiles.

    `keys` go from `source` to `target`, which begins at `at` unless it was there before. A merge
    that is undone gives `n_merges` of the source's merges back.
    """

    source: str
    target: str
    keys: list[str]
    apart: list[Pair]
    cause: bytes
    at: str
    n_merges: int = 0


def new_profile(profile_id: str, at: str, policy: TraitPolicy) -> WorkingProfile:
    """A profile without anything, to be given identifiers. `at` is RFC 3339 UTC."""
    state = ProfileState(at, at, {}, {})
    return WorkingProfile(StoredProfile(profile_id, "active", None, 0, 0, state), policy)


def divide(
    source: WorkingProfile,
    target: WorkingProfile,
    division: Division,
    rules: IdentityRules,
    look: Look = NO_LOOK,
) -> tuple[Told, Told]:
    """Carry a division out, and what has to be told of it: the source first.

    What each is a member of is left to the sweeper. What is counted hangs on the identifiers, so it
    is divided exactly, and stays even where the history is thinned; `look` says what is shown of
    it. What each is like is its own at once; households, accounts and lists go with the identifiers
    that they hang on, and are in these messages already.
    """
    epoch = epoch_of(source, look.definitions)
    source.give(target, division.keys)
    source.n_merges -= division.n_merges
    target.status, target.merged_into = "active", None
    for side in (source, target):
        find_links(side)
        side.standing.computed, side.standing.traits = {}, {}
        derive_all(side, look, epoch)
        side.look_again(epoch)
    for one, other in division.apart:
        keep_apart((source, target), one, other)
    number = target.seq + 1
    return (
        tell(source, division.cause, rules, Link("split_into", target.id, number), look=look),
        tell(target, division.cause, rules, Link("split_from", source.id, number), look=look),
    )


def keep_apart(profiles: Iterable[WorkingProfile], one: str, other: str) -> None:
    """Note on both identifiers, whichever profile holds which, that they are two people's."""
    for profile in profiles:
        for key, against in ((one, other), (other, one)):
            if profile.holds(key) and against not in profile.marks_of(key).apart:
                profile.marks_of(key).apart.append(against)


def forget_apart(profiles: Iterable[WorkingProfile], one: str, other: str) -> None:
    """Take back what `keep_apart` noted."""
    for profile in profiles:
        for key, against in ((one, other), (other, one)):
            if profile.holds(key) and against in profile.marks_of(key).apart:
                profile.marks_of(key).apart.remove(against)


def added_since(held: Sequence[str], moved: Collection[str], others: Collection[str]) -> list[str]:
    """The identifiers that came to a profile after a merge brought `moved`.

    `held` is in the order in which they came; `others` came by later merges.
    """
    last = max((place for place, key in enumerate(held) if key in moved), default=len(held))
    return [key for key in held[last + 1 :] if key not in moved and key not in others]


def go_along(
    added: Sequence[str],
    moved: Collection[str],
    stay: Collection[str],
    seen: Iterable[Sequence[str]],
) -> list[str]:
    """Which of the identifiers that were added later belong to what moved, by the evidence.

    `seen` has the identifiers of each touchpoint. An added one goes with the side it was seen
    beside more often, directly or by way of others that were added; a tie stays.
    """
    together = [set(keys) for keys in seen]
    side = dict.fromkeys(moved, 1) | dict.fromkeys(stay, -1)
    open_ = list(added)
    while open_:
        votes = {key: _votes(key, together, side) for key in open_}
        decided = [key for key in open_ if votes[key]]
        if not decided:
            break
        for key in decided:
            side[key] = 1 if votes[key] > 0 else -1
        open_ = [key for key in open_ if key not in side]
    return [key for key in added if side.get(key) == 1]


def _votes(key: str, together: Iterable[set[str]], side: Mapping[str, int]) -> int:
    total = 0
    for keys in together:
        if key in keys:
            beside = {side[other] for other in keys if other in side}
            total += sum(beside) if len(beside) == 1 else 0
    return total


def pairs_apart(
    moved: Sequence[str], stay: Iterable[str], disputed: Collection[str], rules: IdentityRules
) -> list[Pair]:
    """What has to be kept apart so that the two sides never meet again: the strongest identifier
    that stays, and of what moved the strongest and those that the dispute is about."""
    rest = min(stay, key=rules.strength)
    ours = {min(moved, key=rules.strength), *(key for key in moved if key in disputed)}
    return [(key, rest) for key in sorted(ours)]


class Sides(NamedTuple):
    """How the identifiers of a profile are divided, and what is to be kept apart."""

    keys: list[str]
    apart: list[Pair]


def sides_of_undo(
    held: Sequence[str],
    moved: Collection[str],
    others: Collection[str],
    disputed: Collection[str],
    seen: Iterable[Sequence[str]],
    rules: IdentityRules,
) -> Sides:
    """What the loser of a merge gets back: the identifiers it brought, and of those that were
    added since what was seen beside them.

    `held` are the winner's in the order in which they came, `others` came by later merges, `seen`
    is the evidence. Raises ValueError when one side would be left without identifiers.
    """
    back = [key for key in held if key in moved and key not in others]
    added = added_since(held, moved, others)
    stay = [key for key in held if key not in back and key not in added]
    keys = back + go_along(added, back, stay, seen)
    return sides_of_split(held, keys, disputed, rules)


def sides_of_split(
    held: Sequence[str], keys: Collection[str], disputed: Collection[str], rules: IdentityRules
) -> Sides:
    """Exactly the identifiers that were named, in the order in which they came. Raises ValueError
    when one side would be left without identifiers."""
    ours = [key for key in held if key in keys]
    stay = [key for key in held if key not in keys]
    if not ours or not stay:
        raise ValueError("both sides have to keep an identifier")
    return Sides(ours, pairs_apart(ours, stay, disputed, rules))


class DividedConsents(NamedTuple):
    """What each side of a division holds; of an undone merge the winner and the loser."""

    source: Consents
    target: Consents


def divide_consents(
    now: Consents, winner: Consents, loser: Consents, spoken: Collection[str] = ()
) -> DividedConsents:
    """The consents of both sides of a merge that is undone.

    `winner` and `loser` are those before it. What nobody changed since is as it was. What was
    changed since stays with the winner, but what an identifier said that goes to the loser
    (`spoken`) goes along; a denial holds for both, for nobody knows who said it.
    """
    united = most_restrictive(winner, loser)
    mine, theirs = dict(now), dict(loser)
    for key, record in now.items():
        unchanged = _unchanged(record, united.get(key))
        if unchanged or (key in spoken and record.said != "denied"):
            if key in winner:
                mine[key] = winner[key]
            else:
                del mine[key]
        if not unchanged and (key in spoken or record.said == "denied"):
            theirs[key] = record
    return DividedConsents(mine, theirs)


def _unchanged(record: ConsentRecord, before: ConsentRecord | None) -> bool:
    """Whether nobody said anything since; that it expired meanwhile is nobody's word."""
    return before is not None and record == msgspec.structs.replace(before, lapsed=record.lapsed)


def split_consents(now: Consents, spoken: Collection[str] = ()) -> DividedConsents:
    """What both sides of a split hold: it makes no consent, and loses no denial. What the
    identifiers said that are split off (`spoken`) goes along."""
    denied = {key for key, record in now.items() if record.said == "denied"}
    return DividedConsents(
        {key: record for key, record in now.items() if key in denied or key not in spoken},
        {key: record for key, record in now.items() if key in denied or key in spoken},
    )
