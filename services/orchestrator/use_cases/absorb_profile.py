"""Makes one person of merged profiles: `absorb(loser → winner)`, however often and in any order.

Both messages of a merge ask for it, and whichever comes first does it. Updates of the loser that
come later are judged against the winner.
"""

import logging
from collections.abc import Iterable, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.update import Routed
from services.orchestrator.storage import merges, profile_states
from services.orchestrator.storage.profile_states import Unusual

logger = logging.getLogger(__name__)


class Persons:
    """Which profile stands for which, and where something is in flight; all of them are locked."""

    def __init__(self, unusual: Mapping[str, Unusual]) -> None:
        self._winner = {
            profile_id: row.merged_into
            for profile_id, row in unusual.items()
            if row.merged_into is not None
        }
        self._in_flight = {profile_id for profile_id, row in unusual.items() if row.in_flight}

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
            known |= unknown

    def merge(self, loser: str, winner: str) -> bool:
        """Note a merge; False when it is known already or would lead in a circle."""
        root = self.of(winner)
        if loser in self._winner:
            return False
        if root == loser:
            logger.error("profile %s cannot be merged into itself by way of %s", loser, winner)
            return False
        self._winner[loser] = root
        return True


def merges_in(updates: Iterable[Routed]) -> list[tuple[str, str]]:
    """The (loser, winner) pairs that the updates speak of."""
    pairs: dict[tuple[str, str], None] = {}
    for update in updates:
        if update.merged_from is not None:
            pairs[(update.merged_from, update.profile_id)] = None
        if update.merged_into is not None:
            pairs[(update.profile_id, update.merged_into)] = None
    return list(pairs)


async def absorb_profiles(
    tx: AsyncConnection, persons: Persons, pairs: Iterable[tuple[str, str]]
) -> None:
    """Carry out the merges that are new: ledger, actions, timers, entries and exits move."""
    new = [pair for pair in pairs if persons.merge(*pair)]
    if new:
        await merges.absorb(tx, [(loser, persons.of(loser)) for loser, _ in new])
