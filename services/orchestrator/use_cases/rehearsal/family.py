"""Who stands for whom while recorded updates are gone through again, and who was erased."""

from collections.abc import Collection
from typing import NamedTuple

from services.orchestrator.domain.update import Routed
from services.orchestrator.storage.profile_states import Unusual
from services.orchestrator.use_cases.absorb_profile import (
    Link,
    Parting,
    Persons,
    believe,
    links_in,
)


class Moved(NamedTuple):
    """What an update says of profiles that were not known to be one, or two: `parted` first, then
    each of `absorbed`, a loser and who stands for it now."""

    parted: list[Parting]
    absorbed: list[tuple[str, str]]


class Family:
    """The profiles as they are linked up to the update at hand. Who is erased by now is left out
    from the beginning."""

    def __init__(self, erased: Collection[str] = ()) -> None:
        self._into: dict[str, str] = {}
        self._link_seqs: dict[str, int] = {}
        self._erased = set(erased)

    def of(self, profile_id: str) -> str:
        """The profile that stands for the person."""
        into = self._into
        while profile_id in into:
            profile_id = into[profile_id]
        return profile_id

    def is_erased(self, profile_id: str) -> bool:
        """Whether the profile, or the one that stands for it, was erased."""
        return bool(self._erased) and (
            profile_id in self._erased or self.of(profile_id) in self._erased
        )

    def erase(self, profile_id: str) -> set[str]:
        """The profile was erased; everybody of whom nothing is left with that."""
        gone = {profile_id, self.of(profile_id)}
        self._erased |= gone
        return gone

    def believe(self, update: Routed) -> Moved:
        """Let what an update says of merges and splits be true."""
        links = links_in([update])
        persons = Persons({one: self._unusual(one) for one in self._named(links)})
        known = {link.profile_id: self._into.get(link.profile_id) for link in links}
        news = believe(persons, links)
        for parting in news.parted:
            del self._into[parting.back]
        absorbed = []
        for one in news.absorbed:
            if known.get(one.loser) != one.partner:
                self._into[one.loser] = one.partner
                absorbed.append((one.loser, one.winner))
        for profile_id, seq in news.seqs.items():
            self._link_seqs[profile_id] = max(seq, self._link_seqs.get(profile_id, 0))
        return Moved(news.parted, absorbed)

    def members(self, profile_id: str) -> set[str]:
        """The profiles that this one stands for, itself among them."""
        return {profile_id} | {one for one in self._into if self.of(one) == profile_id}

    def _named(self, links: Collection[Link]) -> set[str]:
        """The profiles of the links, and whoever stands for them."""
        found: set[str] = set()
        for link in links:
            for profile_id in (link.profile_id, link.partner):
                found.add(profile_id)
                while profile_id in self._into:
                    profile_id = self._into[profile_id]
                    found.add(profile_id)
        return found

    def _unusual(self, profile_id: str) -> Unusual:
        return Unusual(0, self._into.get(profile_id), 0, self._link_seqs.get(profile_id, 0))
