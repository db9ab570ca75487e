"""Builders for tests of the profile service: touchpoints, a world without a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.profile.domain.absorb import Rules, absorb
from services.profile.domain.absorbed import Absorbed, Arrival, Known
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.identity import usable
from services.profile.domain.profile import StoredProfile, decode_state, encode_state
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
    """Profiles in memory, stored between batches as the database would store them."""

    rules: Rules = field(default_factory=Rules)
    look: Look = NO_LOOK
    rows: dict[str, tuple[str, str | None, int, int, bytes]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def take(self, *bodies: Mapping[str, Any]) -> Absorbed:
        """Absorb one batch; a touchpoint that was there before is dropped, as the worker does."""
        fresh = [body for body in bodies if body["id"] not in self.seen]
        fresh = list({body["id"]: body for body in reversed(fresh)}.values())[::-1]
        self.seen.update(body["id"] for body in fresh)
        result = absorb(
            [arrival(body, self.rules) for body in fresh],
            Known(self._stored(), dict(self.owners), self._aliases(), self.look),
            self.rules,
            NAMING,
        )
        for one in result.changed:
            state = encode_state(one.state)
            self.rows[one.id] = (one.status, one.merged_into, one.seq, one.n_merges, state)
        self.owners.update(result.assigned)
        self.owners.update(result.moved)
        self.messages += result.messages
        return result

    def take_in_batches(self, bodies: Sequence[Mapping[str, Any]], size: int) -> None:
        for start in range(0, len(bodies), size):
            self.take(*bodies[start : start + size])

    def owner(self, type_: str, value: str) -> str:
        return self.owners[f"{type_}\0{value}"]

    def profile(self, profile_id: str) -> StoredProfile:
        return self._stored()[profile_id]

    def active(self) -> list[StoredProfile]:
        return [one for one in self._stored().values() if one.status == "active"]

    def updates(self) -> list[dict[str, Any]]:
        """Every message so far, decoded."""
        return [msgspec.json.decode(message) for _, message in self.messages]

    def _stored(self) -> dict[str, StoredProfile]:
        return {
            id_: StoredProfile(id_, status, into, seq, merges, decode_state(state))  # type: ignore[arg-type]  # a status as it was stored
            for id_, (status, into, seq, merges, state) in self.rows.items()
        }

    def _aliases(self) -> dict[str, str]:
        aliases = {}
        for id_ in self.rows:
            now = id_
            while (into := self.rows[now][1]) is not None:
                now = into
            aliases[id_] = now
        return aliases
