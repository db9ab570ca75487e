"""Builders for tests of the profile service: touchpoints, a world without a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Absorbed, Arrival, Merge
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.divide import Division, sides_of_undo
from services.profile.domain.identity import usable
from services.profile.domain.profile import StoredProfile, computed
from services.profile.domain.replay import Decision, Replay, Row
from services.profile.domain.sums import join
from services.profile.use_cases.naming import NAMING
from shared.contracts.touchpoint import envelope_decoder
from shared.ids import touchpoint_id_text


def touchpoint(number: int, *identifiers: tuple[str, str], **fields: Any) -> dict[str, Any]:
    """A touchpoint as a dictionary; `number` gives its id, its second and its raw offset."""
    at = f"2026-11-21T{10 + number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    message_id = fields.pop("message_id", f"m{number}")
    source = fields.pop("source", "shop")
    return {
        "id": touchpoint_id_text(source, message_id),
        "message_id": message_id,
        "source": source,
        "channel": "web",
        "type": "Product Viewed",
        "kind": "track",
        "occurred_at": at,
        "received_at": at,
        "identifiers": [{"type": type_, "value": value} for type_, value in identifiers],
        "raw": {"topic": "channel.web", "partition": 0, "offset": number},
        **fields,
    }


def order(number: int, *identifiers: tuple[str, str], **properties: Any) -> dict[str, Any]:
    """An order of that number."""
    return touchpoint(number, *identifiers, type="Order Completed", properties=properties)


def arrival(body: Mapping[str, Any], rules: Rules) -> Arrival:
    """The touchpoint as the worker reads it."""
    data = msgspec.json.encode(body)
    envelope = envelope_decoder.decode(data)
    return Arrival(envelope, data, usable(envelope.identifiers, rules.identity))


@dataclass
class World:
    """Profiles in memory, stored between batches as the database would store them.

    What it took and what people decided is kept as evidence, in order.
    """

    rules: Rules = field(default_factory=Rules)
    look: Look = NO_LOOK
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    merges: list[Merge] = field(default_factory=list)
    evidence: list[list[Arrival] | Decision] = field(default_factory=list)
    live: Replay = field(default_factory=lambda: Replay(NAMING))

    @property
    def rows(self) -> dict[str, Row]:
        return self.live.rows

    @property
    def owners(self) -> dict[str, str]:
        return self.live.owners

    def take(self, *bodies: Mapping[str, Any]) -> Absorbed:
        """Absorb one batch; a touchpoint that was there before is dropped, as the worker does."""
        fresh = [body for body in bodies if body["id"] not in self.seen]
        fresh = list({body["id"]: body for body in reversed(fresh)}.values())[::-1]
        self.seen.update(body["id"] for body in fresh)
        arrivals = [arrival(body, self.rules) for body in fresh]
        self.evidence.append(arrivals)
        result = self.live.take(arrivals, self.rules, self.look)
        self.messages += result.messages
        self.merges += result.merges
        return result

    def take_in_batches(self, bodies: Sequence[Mapping[str, Any]], size: int) -> None:
        for start in range(0, len(bodies), size):
            self.take(*bodies[start : start + size])

    def decide(self, decision: Decision) -> None:
        """Carry out what a person decided."""
        self.evidence.append(decision)
        self.messages += self.live.decide(decision, self.rules)

    def undo(self, merge: Merge) -> Division:
        """Undo a merge as the API does."""
        winner = self.profile(merge.winner)
        later = self.merges[self.merges.index(merge) + 1 :]
        others = {key for one in later if one.winner == merge.winner for key in one.moved}
        cause = msgspec.json.decode(merge.cause)
        sides = sides_of_undo(
            list(winner.state.held),
            merge.moved,
            others,
            {f"{one['type']}\0{one['value']}" for one in cause["joined_on"]},
            [
                one.usable.keys
                for taken in self.evidence
                if isinstance(taken, list)
                for one in taken
            ],
            self.rules.identity,
        )
        division = Division(
            source=merge.winner,
            target=merge.loser,
            keys=sides.keys,
            apart=sides.apart,
            cause=b"{}",
            at="2026-11-22T00:00:00.000Z",
            n_merges=self.profile(merge.loser).n_merges + 1,
        )
        self.decide(division)
        return division

    def owner(self, type_: str, value: str) -> str:
        return self.owners[f"{type_}\0{value}"]

    def owners_of(self, *identifiers: tuple[str, str]) -> list[str]:
        return [self.owner(*one) for one in identifiers]

    def touchpoints_of(self, type_: str, value: str) -> int:
        """How many touchpoints the owner of an identifier has."""
        held = self.profile(self.owner(type_, value)).state.held.values()
        return computed(join(one.sums for one in held if one.sums)).touchpoints

    def profile(self, profile_id: str) -> StoredProfile:
        return self.live.stored(profile_id)

    def active(self) -> list[StoredProfile]:
        return [self.profile(id_) for id_, row in self.rows.items() if row.status == "active"]

    def updates(self) -> list[dict[str, Any]]:
        """Every message so far, decoded."""
        return [msgspec.json.decode(message) for _, message in self.messages]

    def replayed(self) -> Replay:
        """The same again from the evidence alone."""
        again = Replay(NAMING)
        for one in self.evidence:
            if isinstance(one, list):
                again.take(one, self.rules)
            else:
                again.decide(one, self.rules)
        return again
