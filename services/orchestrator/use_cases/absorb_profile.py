"""Makes one person of merged profiles, and two again of those that were parted.

Both messages of a merge or a split ask for it, and whichever comes first does it. Each says with
which number the profile that gives way, or comes back, was told of it: of two links of a profile
the one with the greater number holds, in whatever order they come. Updates of a merged profile that
come later are judged against the winner.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.update import Routed
from services.orchestrator.storage import merges, profile_states
from services.orchestrator.storage.profile_states import Unusual

logger = logging.getLogger(__name__)


class Link(NamedTuple):
    """What a message says of `profile_id`: it was merged into `partner`, or parted from it.

    `seq` is the profile's own number of that; 0 where the message does not say.
    """

    profile_id: str
    partner: str
    seq: int
    merged: bool


class Persons:
    """Which profile stands for which, and where something is in flight; all of them are locked."""

    def __init__(self, unusual: Mapping[str, Unusual]) -> None:
        self._winner = {
            profile_id: row.merged_into
            for profile_id, row in unusual.items()
            if row.merged_into is not None
        }
        self._in_flight = {profile_id for profile_id, row in unusual.items() if row.in_flight}
        self._erased: set[str] = set()
        self._link_seq = {profile_id: row.link_seq for profile_id, row in unusual.items()}

    def of(self, profile_id: str) -> str:
        """The profile that stands for the person now."""
        winner = self._winner
        while profile_id in winner:
            profile_id = winner[profile_id]
        return profile_id

    @property
    def in_flight(self) -> set[str]:
        """The persons with something in flight."""
        return {self.of(profile_id) for profile_id in self._in_flight}

    async def lock_winners(self, tx: AsyncConnection) -> None:
        """Lock the profiles that others were merged into earlier, and learn about them.

        They come out of the order of ids, so a deadlock is possible in theory; PostgreSQL ends it
        and the batch is tried again.
        """
        known: set[str] = set()
        while unknown := {self.of(profile_id) for profile_id in self._winner} - known:
            for profile_id, row in (await profile_states.lock(tx, unknown)).items():
                if row.merged_into is not None:
                    self._winner[profile_id] = row.merged_into
                if row.in_flight:
                    self._in_flight.add(profile_id)
                if row.erased:
                    self._erased.add(profile_id)
            known |= unknown

    def forget(self, profiles: Iterable[str]) -> None:
        """These were erased: nothing is in flight any more."""
        self._erased.update(profiles)
        self._in_flight -= self._erased

    @property
    def knows_erased(self) -> bool:
        """Whether any profile here is known to be erased."""
        return bool(self._erased)

    def is_erased(self, profile_id: str) -> bool:
        """Whether a profile, or the one that stands for it, is known to be erased."""
        return profile_id in self._erased or self.of(profile_id) in self._erased

    def is_news(self, link: Link) -> bool:
        """Whether a link was said after the one that is known of its profile."""
        known = self._link_seq.get(link.profile_id, 0)
        return link.seq > known or (known == 0 and link.merged and not self.is_merged(link))

    def is_merged(self, link: Link) -> bool:
        """Whether the link's profile is merged away, as far as is known."""
        return link.profile_id in self._winner

    def part(self, link: Link) -> str:
        """Let a profile stand for itself again; returns the one that stood for it."""
        root = self.of(link.profile_id)
        del self._winner[link.profile_id]
        self._in_flight.add(link.profile_id)
        return root

    def merge(self, loser: str, winner: str) -> bool:
        """Note a merge; False when it would lead in a circle."""
        if self.of(winner) == loser:
            logger.error("profile %s cannot be merged into itself by way of %s", loser, winner)
            return False
        self._winner[loser] = winner
        return True

    def joins(self, link: Link) -> bool:
        """Whether a link says no more than what is known: merged into this very partner."""
        return link.merged and self._winner.get(link.profile_id) == link.partner


def links_in(updates: Iterable[Routed]) -> list[Link]:
    """What the updates say of merges and splits: for each profile only what was said last."""
    last: dict[str, Link] = {}
    for update in updates:
        for link in _links_of(update):
            known = last.get(link.profile_id)
            if known is None or link.seq >= known.seq:
                last[link.profile_id] = link
    return list(last.values())


def _links_of(update: Routed) -> Iterable[Link]:
    own, other = update.link_seq or update.seq, update.link_seq or 0
    if update.merged_from is not None:
        yield Link(update.merged_from, update.profile_id, other, merged=True)
    if update.merged_into is not None:
        yield Link(update.profile_id, update.merged_into, own, merged=True)
    if update.split_into is not None:
        yield Link(update.split_into, update.profile_id, other, merged=False)
    if update.split_from is not None:
        yield Link(update.profile_id, update.split_from, own, merged=False)


class Parting(NamedTuple):
    """`back` stands for itself again; `root` stood for it until now."""

    back: str
    root: str


class News(NamedTuple):
    """What is new in links: who is parted first, who is absorbed then, and for each profile that
    they speak of the number with which it was told so."""

    parted: list[Parting]
    absorbed: list[merges.Absorption]
    seqs: dict[str, int]


async def link_profiles(tx: AsyncConnection, persons: Persons, links: Iterable[Link]) -> News:
    """Carry out the links that are news; which they are.

    A merge moves ledger, actions, runs, timers, entries and exits to the winner; a split gives back
    what was done in the name of the profile that comes back, and both sides remember entries and
    exits. What a merge or a split means for runs is told them afterwards (`link_runs`).
    """
    news = believe(persons, links)
    for parting in news.parted:
        await merges.part(tx, parting.back, parting.root)
    moved = dict(await merges.absorb(tx, news.absorbed)) if news.absorbed else {}
    if news.seqs:
        await profile_states.note_links(tx, news.seqs)
    return news._replace(absorbed=[one for one in news.absorbed if one.loser in moved])


def believe(persons: Persons, links: Iterable[Link]) -> News:
    """Let the links be true of `persons`; what of them is news."""
    news = [link for link in links if persons.is_news(link)]
    parted = [
        Parting(link.profile_id, persons.part(link))
        for link in news
        if persons.is_merged(link) and not persons.joins(link)
    ]
    new = [
        link
        for link in news
        if link.merged and (persons.joins(link) or persons.merge(link.profile_id, link.partner))
    ]
    absorbed = [
        merges.Absorption(link.profile_id, link.partner, persons.of(link.profile_id))
        for link in new
    ]
    return News(parted, absorbed, {link.profile_id: link.seq for link in news})
