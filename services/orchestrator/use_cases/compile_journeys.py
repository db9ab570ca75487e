"""Compiles the journeys in force; what is as it was is not compiled again."""

from collections.abc import Callable, Iterable, Iterator

from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.storage.journey_versions import StoredJourney
from services.orchestrator.use_cases.read_stored import parsed
from shared.postgres.drafts import Version

Complete = Callable[[Journey], Journey]
"""Adds to a journey what its channels say."""
Signature = tuple[int | None, bool, tuple[tuple[str, str], ...], tuple[int, ...]]


class CompileJourneys:
    """Remembers what it compiled. A version that this version of the program does not take is left
    out and logged; when it is the one that people enter, nobody does."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], Journey] = {}
        self._live: dict[str, tuple[Signature, LiveJourney]] = {}

    def forget(self) -> None:
        """Everything is to be compiled anew."""
        self._read, self._live = {}, {}

    def __call__(self, stored: Iterable[StoredJourney], complete: Complete) -> list[LiveJourney]:
        """The journeys in force."""
        before, read = self._live, self._read
        self._live, self._read = {}, {}
        for one in stored:
            versions = list(self._versions(one.versions, read, complete))
            if not versions:
                continue
            numbers = tuple(version.version for version in versions)
            entering = one.entering if one.entering in numbers else None
            signature = (entering, one.paused, tuple(sorted(one.winners.items())), numbers)
            known = before.get(one.key)
            if known is None or known[0] != signature:
                live = LiveJourney(versions, live=entering, paused=one.paused, winners=one.winners)
                known = (signature, live)
            self._live[one.key] = known
        return [live for _, live in self._live.values()]

    def _versions(
        self,
        stored: Iterable[Version],
        read: dict[tuple[str, int], Journey],
        complete: Complete,
    ) -> Iterator[Journey]:
        for version in stored:
            place = (version.key, version.version)
            if place not in read:
                read |= {
                    (one.key, one.version): complete(one)
                    for one in parsed(parse_journey, [version], "journey")
                }
            if place in read:
                self._read[place] = read[place]
                yield read[place]
