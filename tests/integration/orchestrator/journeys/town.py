"""The people of a play as the profile service knows them: it publishes updates on partitions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.orchestrator.domain.run import effect_id
from shared.kafka.records import Record
from tests.integration.orchestrator.journeys.units import Happening, Link, Outcome
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import profile_json, touchpoint_json, uid

PARTITIONS = 4

Published = tuple[Happening, Record]


@dataclass
class Town:
    """Who there is, who was merged into whom, and everything that was published."""

    stage: Stage
    name: str
    start: datetime
    people: list[str]
    into: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    segments: dict[str, frozenset[str]] = field(default_factory=dict)
    partitions: list[list[Published]] = field(
        default_factory=lambda: [[] for _ in range(PARTITIONS)]
    )
    count: int = 0

    @property
    def standing(self) -> list[str]:
        """The profiles that stand for somebody."""
        return [one for one in self.people if one not in self.into and one not in self.gone]

    @property
    def merged(self) -> list[str]:
        """The profiles that were merged into one that stands for somebody."""
        return [one for one, other in self.into.items()
                if other not in self.into and other not in self.gone]  # fmt: skip

    def root(self, profile: str) -> str:
        while profile in self.into:
            profile = self.into[profile]
        return profile

    def happens(
        self,
        profile: str,
        event: str,
        key: str = "",
        outcome: Outcome | None = None,
        node: str = "",
    ) -> str:
        """A touchpoint; all of them happened at one instant, so that none is later than another."""
        said: dict[str, Any] = {"id": key} if key else {}
        if outcome is not None:
            said["action_id"] = str(effect_id(outcome.run, node, outcome.step))
        name = f"{self.name}-{self.count}"
        cause = touchpoint_json(name, event, at=self.start, received=self.start, properties=said)
        self._publish(profile, cause, event=event, key=key, cause_id=uid(name), outcome=outcome)
        return f"{self.called(profile)}: {event} {key}".rstrip()

    def changes(self, profile: str, segment: str) -> str:
        """A person joins or leaves a segment, which is no event."""
        self.segments[profile] = self.segments.get(profile, frozenset()) ^ {segment}
        self._publish(profile, {"kind": "trait_changed", "touchpoint_id": uid("x")})
        return f"{self.called(profile)} is in {sorted(self.segments[profile])}"

    def merge(self, loser: str, winner: str) -> str:
        """Two profiles are one person."""
        number = self.stage.seqs.get(loser, 0) + 1
        self.into[loser] = winner
        link = Link(loser, winner, number, merged=True)
        gone = {"status": "merged"}
        self._publish(loser, {"kind": "merged"}, link=link, also=gone, merged_into=winner)
        self._publish(winner, {"kind": "merged"}, link=link, merged_from=loser)
        return f"{self.called(loser)} into {self.called(winner)}"

    def undo(self, loser: str) -> str:
        """They are two again."""
        winner = self.into.pop(loser)
        number = self.stage.seqs[loser] + 1
        link = Link(loser, winner, number, merged=False)
        self._publish(loser, {"kind": "split"}, link=link, split_from=winner)
        self._publish(winner, {"kind": "split"}, link=link, split_into=loser)
        return f"{self.called(loser)} from {self.called(winner)}"

    def erase(self, person: str) -> str:
        """A person is erased, with all profiles that were merged into them."""
        family = [one for one in self.people if self.root(one) == person]
        for one in family:
            self._publish(one, {"kind": "erased", "id": uid("x")}, erases=True)
        self.gone.update(family)
        return f"{self.called(person)} of {len(family)}"

    def called(self, profile: str) -> str:
        """The letter of a profile."""
        return "abcdefgh"[self.people.index(profile)]

    def _publish(
        self,
        profile: str,
        cause: dict[str, Any],
        *,
        event: str = "",
        key: str = "",
        cause_id: str = "",
        link: Link | None = None,
        outcome: Outcome | None = None,
        erases: bool = False,
        also: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        self.count += 1
        segments = self.segments.get(profile, frozenset())
        if link is not None:
            fields["link_seq"] = link.number
        snapshot = profile_json(profile, segments=sorted(segments), **(also or {}))
        record = self.stage.record(profile, cause, profile=snapshot, **fields)
        number = self.stage.seqs[profile]
        happening = Happening(
            profile, number, event, key, cause_id, segments, link, outcome, erases
        )
        self.partitions[self.people.index(profile) % PARTITIONS].append((happening, record))


def people(count: int) -> list[str]:
    """So many profiles, the oldest id first."""
    return sorted(uid(f"person {place}") for place in range(count))
