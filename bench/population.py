"""A made-up population in the very rows the profile worker would write, copied into its tables.

Person `n` is a function of n. What they did is folded by the domain of the profile service, as the
worker folds it, and the rows are encoded by the same functions; only the statements are COPY. No
evidence is kept, so `touchpoint.batch` is empty, and nothing is published.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import msgspec

from services.profile.domain.absorb import Rules, absorb
from services.profile.domain.absorbed import Arrival, Known
from services.profile.domain.definitions import Look
from services.profile.domain.identity import usable
from services.profile.domain.profile import encode_state
from services.profile.domain.search import names_in
from services.profile.domain.snapshot import computed
from services.profile.domain.stored_facts import stored_facts
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage.identifiers import identifier_id
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import NAMING
from shared.contracts.times import rfc3339
from shared.contracts.touchpoint import envelope_decoder
from shared.ids import touchpoint_id_text
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction

SOURCE = "scale"
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
STEP = timedelta(milliseconds=20)
CHUNK = 2_000
CITIES = ("Lyon", "Nantes", "Lille", "Porto", "Gent", "Graz", "Turin", "Bern")
BUYERS, VISITORS, CALLERS = 0.4, 0.3, 0.5
"""Shares of the people who ordered, who were seen in a browser, whose telephone is known."""

_ONSETS = ("b", "ch", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br")
_VOWELS = ("a", "e", "i", "o", "é", "ü")
_FILLER = "Neither here nor there, and it takes the room that such things take. " * 8

Row = tuple[Any, ...]
PROFILE = (
    *("id", "status", "merged_into", "seq", "n_merges", "state", "created_at", "last_seen_at"),
    *("facts", "computed", "first_last", "last_first"),
)
IDENTIFIER = ("id", "type", "value", "profile_id")
TOUCHPOINT = (*("id", "anchor", "occurred_at", "raw_topic", "raw_partition", "raw_offset", "body"),)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of person `number` before any touchpoint."""

    number: int
    first_name: str
    last_name: str
    city: str
    telephone: str | None
    browser: str | None
    total: str | None
    """Of their one order; None: they ordered nothing."""

    @property
    def user_id(self) -> str:
        """Every person has one of these."""
        return f"u-{self.number:07d}"

    @property
    def email(self) -> str:
        """And one of these."""
        return f"{self.first_name}.{self.last_name}.{self.number}@example.com".lower()

    @property
    def profile_id(self) -> str:
        """The id that the worker gives to their profile."""
        return NAMING.profile(_touchpoint_id(self.number, "known"), _at(self.number, 0))


@dataclass(slots=True)
class Rows:
    """Rows of the three tables."""

    profiles: list[Row]
    identifiers: list[Row]
    touchpoints: list[Row]


def person(number: int) -> Person:
    """Person `number`, always the same."""
    chance = random.Random(number)  # noqa: S311 - a load, no secret
    return Person(
        number,
        first_name=_name(chance, 2),
        last_name=_name(chance, 3),
        city=chance.choice(CITIES),
        telephone=f"+336{number:08d}" if chance.random() < CALLERS else None,
        browser=f"b-{number:07d}" if chance.random() < VISITORS else None,
        total=f"{chance.randint(100, 20_000) / 100:.2f}" if chance.random() < BUYERS else None,
    )


def touchpoints(one: Person) -> Iterator[dict[str, Any]]:
    """What the person did, oldest first, as ingest publishes it."""
    known = [("user_id", one.user_id), ("email", one.email)]
    if one.telephone is not None:
        known.append(("phone", one.telephone))
    traits = {
        "first_name": one.first_name,
        "last_name": one.last_name,
        "city": one.city,
        "country": "FR",
        "birthday": f"19{one.number % 60 + 40}-0{one.number % 9 + 1}-11",
        "locale": "fr-FR",
        "postal_code": f"{one.number % 90_000 + 10_000}",
        "score": one.number % 100,
        "note": _FILLER,
    }
    yield _touchpoint(one.number, 0, "known", "Signed Up", "identify", known, traits=traits)
    if one.browser is not None:
        seen = [("user_id", one.user_id), ("anonymous_id", one.browser)]
        page = {"path": f"/p/{one.number % 500}", "title": _FILLER[:140]}
        yield _touchpoint(one.number, 1, "seen", "Page Viewed", "page", seen, properties=page)
    if one.total is not None:
        order = {"order_id": f"o-{one.number}", "total": one.total, "currency": "EUR"}
        yield _touchpoint(
            one.number, 2, "order", "Order Completed", "track", known[:1], properties=order
        )


def rows(people: Sequence[Person], rules: Rules, look: Look) -> Rows:
    """The rows that the worker writes for all that the people did."""
    arrivals = []
    for one in people:
        for body in touchpoints(one):
            data = msgspec.json.encode(body)
            envelope = envelope_decoder.decode(data)
            arrivals.append(Arrival(envelope, data, usable(envelope.identifiers, rules.identity)))
    absorbed = absorb(arrivals, Known({}, {}, look=look), rules, NAMING)
    made = Rows([_profile(one) for one in absorbed.changed], [], [])
    for key, profile_id in absorbed.assigned.items():
        type_, _, value = key.partition("\0")
        made.identifiers.append((identifier_id(key), type_, value, profile_id))
    for touchpoint, data, named in arrivals:
        anchor = absorbed.anchors.get(touchpoint.id, named.keys[0])
        raw = touchpoint.raw
        made.touchpoints.append(
            (
                touchpoint.id,
                None if anchor is None else identifier_id(anchor),
                datetime.fromisoformat(touchpoint.occurred_at),
                *(raw.topic, raw.partition, raw.offset),
                data,
            )
        )
    return made


class Buyers(NamedTuple):
    """How many people ordered something, and how many of them live in the first of CITIES."""

    anywhere: int
    in_city: int


async def load(url: str, start: int, stop: int) -> Buyers:
    """Copy people `start` to `stop - 1` into the tables of schema `profile`."""
    look = await _look(url)
    connection = await asyncpg.connect(url, server_settings={"search_path": "profile"})
    rules, anywhere, in_city = Rules(), 0, 0
    try:
        for first in range(start, stop, CHUNK):
            people = [person(number) for number in range(first, min(first + CHUNK, stop))]
            made = rows(people, rules, look)
            async with connection.transaction():
                for table, columns, copied in (
                    ("profile", PROFILE, made.profiles),
                    ("identifier", IDENTIFIER, made.identifiers),
                    ("touchpoint", TOUCHPOINT, made.touchpoints),
                ):
                    await connection.copy_records_to_table(table, records=copied, columns=columns)
            buyers = [one for one in people if one.total is not None]
            anywhere += len(buyers)
            in_city += sum(one.city == CITIES[0] for one in buyers)
    finally:
        await connection.close()
    return Buyers(anywhere, in_city)


async def settle(url: str) -> None:
    """Let PostgreSQL know what is in the tables, as it would after a while."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "profile"})
    try:
        for table in ("profile", "identifier", "touchpoint"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()


async def _look(url: str) -> Look:
    """What is in force, as a worker would find it."""
    engine = create_engine(url, schema="profile", application="scale", pool_size=1)
    try:
        async with transaction(engine) as tx:
            return await LiveDefinitions().look(tx)
    finally:
        await engine.dispose()


def _profile(one: WorkingProfile) -> Row:
    names = names_in(one.survivors())
    return (
        *(one.id, one.status, one.merged_into, one.seq, one.n_merges, encode_state(one.state)),
        datetime.fromisoformat(one.state.created_at),
        datetime.fromisoformat(one.state.last_seen_at),
        *(stored_facts(one), computed(one).decode(), names.first_last, names.last_first),
    )


def _touchpoint(
    number: int,
    place: int,
    what: str,
    type_: str,
    kind: str,
    identifiers: Sequence[tuple[str, str]],
    **fields: Any,
) -> dict[str, Any]:
    at = _at(number, place)
    return {
        "id": _touchpoint_id(number, what),
        "message_id": f"{what}-{number}",
        "source": SOURCE,
        "channel": "web",
        "type": type_,
        "kind": kind,
        "occurred_at": at,
        "received_at": at,
        "identifiers": [{"type": one, "value": value} for one, value in identifiers],
        "raw": {"topic": "channel.web", "partition": 0, "offset": 3 * number + place},
        **fields,
    }


def _touchpoint_id(number: int, what: str) -> str:
    return touchpoint_id_text(SOURCE, f"{what}-{number}")


def _at(number: int, place: int) -> str:
    return rfc3339(BEGIN + STEP * number + timedelta(hours=place))


def _name(chance: random.Random, syllables: int) -> str:
    return "".join(
        chance.choice(_ONSETS) + chance.choice(_VOWELS) for _ in range(syllables)
    ).capitalize()
