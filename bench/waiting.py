"""People who wait in a journey, in the very rows the orchestrator's worker would write, copied in.

Each of them entered a day before their timer is due; the timers lie evenly apart. One in ten is
sent a message each time round. Walked by the engine, encoded by the functions of the storage; only
the statements are COPY. What they entered with was published long ago.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import read_moment, routed_decoder
from services.orchestrator.storage import runs
from services.orchestrator.use_cases.naming import action_ids
from services.profile.use_cases.naming import NAMING
from shared.contracts.times import rfc3339
from shared.ids import touchpoint_id_text

SOURCE = "scale"
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
KEY = "evergreen"
LAP = timedelta(days=1)
DOCUMENT: dict[str, Any] = {
    "name": "Evergreen",
    "category": "service",
    "entry": {"type": "event", "event": "Joined"},
    "re_entry": {"mode": "never"},
    "exit_criteria": [{"event": "Left"}],
    "nodes": [
        {"id": "rest", "type": "wait", "duration": "P1D", "next": "pick"},
        {"id": "pick", "type": "branch", "else": "rest",
         "cases": [{"when": {"attr": "profile.vip", "op": "eq", "value": True}, "next": "mail"}]},
        {"id": "mail", "type": "message", "channel": "email", "content": {"body": "Hello"},
         "next": "rest"},
    ],
}  # fmt: skip
CHUNK = 2_000
STRIDE = 611_953
"""Neighbours among the people are not neighbours in time. It is prime."""

Row = tuple[Any, ...]
TABLES = {
    "profile_state": ("profile_id", "last_seq", "in_flight", "snapshot"),
    "journey_run": runs.COLUMNS,
    "timer": ("due_at", "kind", "profile_id", "ref", "gen"),
    "run_log": ("run", "at", "kind", "node", "occurrence", "word"),
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many people, of whom `rate` a second are due from `begin` on."""

    people: int
    rate: float
    begin: datetime

    def entered_at(self, number: int) -> datetime:
        """When a person entered: a day before they are due."""
        return self.begin - LAP + timedelta(seconds=self.rank(number) / self.rate)

    def rank(self, number: int) -> int:
        """How many are due before them."""
        return number * STRIDE % self.people


def profile_id(number: int) -> str:
    """The id that the profile worker would have given them: in the order in which they came."""
    at = rfc3339(FIRST + timedelta(seconds=number))
    return NAMING.profile(touchpoint_id_text(SOURCE, f"joined-{number}"), at)


def update(number: int, seq: int, event: str, at: datetime) -> bytes:
    """An update of the person's profile, as the profile worker publishes it."""
    id_, moment = profile_id(number), rfc3339(at)
    return msgspec.json.encode(
        {
            "profile_id": id_,
            "seq": seq,
            "cause": {
                "id": touchpoint_id_text(SOURCE, f"{event}-{number}-{seq}"),
                "message_id": f"{event}-{number}-{seq}",
                "source": SOURCE,
                "channel": "web",
                "type": event,
                "kind": "track",
                "occurred_at": moment,
                "received_at": moment,
                "properties": {"path": f"/p/{number % 500}"},
                "context": {},
            },
            "profile": {
                "id": id_,
                "status": "active",
                "identifiers": [{"type": "email", "value": f"p{number}@example.com"}],
                "identifiers_total": 1,
                "traits": {
                    "first_name": f"First{number}",
                    "timezone": "Europe/Paris",
                    "country": "FR",
                    "vip": number % 10 == 0,
                    "note": "It takes the room that such things take. " * 8,
                },
                "computed": {"touchpoints": seq},
                "consents": [],
                "created_at": moment,
                "last_seen_at": moment,
            },
        }
    )


def rows(crowd: Crowd, numbers: range, ruleset: RuleSet) -> dict[str, list[Row]]:
    """What the worker writes when these people enter, by table."""
    made: dict[str, list[Row]] = {table: [] for table in TABLES}
    for number in numbers:
        at = crowd.entered_at(number)
        value = update(number, 1, "Joined", at)
        moment = read_moment(value, routed_decoder.decode(value), profile_id(number), at)
        effects = Effects(connected=ruleset.connected)
        situation = Situation(moment, History(), at, action_ids(moment.cause.id or ""))
        travel = Travel(situation, ruleset, effects, UUID(int=0))
        travel.enter(ruleset.journeys.journeys.values())
        made["profile_state"].append((moment.profile_id, 1, 1, moment.profile_json))
        made["journey_run"] += [runs.row_of(one) for one in effects.runs.values()]
        made["timer"] += [
            (one.due_at, one.kind, one.profile_id, one.ref, one.gen) for one in effects.timers
        ]
        made["run_log"] += [
            (one.run, one.at, one.kind, one.node, one.occurrence, one.word)
            for one in effects.run_notes
        ]
    return made


def chunks(start: int, stop: int) -> Iterator[range]:
    """The numbers from `start` to `stop - 1`, some at a time."""
    for first in range(start, stop, CHUNK):
        yield range(first, min(first + CHUNK, stop))


def ruleset() -> RuleSet:
    """The journey in force, alone."""
    return RuleSet(
        epoch=1, journeys=(LiveJourney([parse_journey(DOCUMENT, key=KEY, version=1)], live=1),)
    )


async def load(url: str, crowd: Crowd, start: int, stop: int) -> None:
    """Copy people `start` to `stop - 1` into the tables of schema `orchestrator`."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "orchestrator"})
    rules = ruleset()
    try:
        for numbers in chunks(start, stop):
            made = rows(crowd, numbers, rules)
            async with connection.transaction():
                for table, columns in TABLES.items():
                    await connection.copy_records_to_table(
                        table, records=made[table], columns=columns
                    )
    finally:
        await connection.close()
