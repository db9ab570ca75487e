"""Keeps what is in force compiled in memory, and says for each transaction what to look by.

The epoch is read in the transaction itself, under a lock that a publication waits for: from the
moment a publication is committed, no worker decides by what was before.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.definitions import Definitions, InForce, Look, Registered
from services.profile.domain.instants import instant_of
from services.profile.domain.segment import Persona, Segment, parse_persona, parse_segment
from services.profile.domain.trait import Trait, TraitsInForce, parse_trait
from services.profile.storage import definitions
from services.profile.storage.definition_kind import Kind
from services.profile.storage.definitions import Row, State, Stored
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from shared.postgres.transaction import Tx


class LiveDefinitions:
    """What is in force, as this process knows it."""

    def __init__(self) -> None:
        self._current: Definitions | None = None

    async def look(self, tx: AsyncConnection) -> Look:
        """What profiles are looked at by until this transaction ends, and when.

        To be asked for before any profile is locked.
        """
        return await self.as_of(tx, await definitions.share(tx))

    async def as_of(self, tx: Tx, state: State) -> Look:
        """What profiles are looked at by in a state that was just read: without the lock of
        `share` for reading alone."""
        current = self._current
        if current is None or current.epoch != state.epoch:
            current = compiled(state, await definitions.load(tx))
        elif current.floor != state.floor:
            current = replace(current, floor=state.floor)
        self._current = current
        return Look(current, instant_of(state.now))


def compiled(state: State, stored: Stored) -> Definitions:
    """What is stored, compiled. Raises Unprocessable or CircleError for what was never checked."""
    return compile_definitions(
        epoch=state.epoch,
        floor=state.floor,
        in_force=[
            InForce(parse_definition(row.kind, row.key, row.body), row.since) for row in stored.rows
        ],
        personas_since=state.personas_since,
        leaves=[Registered(_leaf(row.body), row.since) for row in stored.leaves],
        streams_since={key: stream.since for key, stream in stored.streams.items()},
    )


def parse_definition(kind: str, key: str, body: dict[str, Any]) -> Segment | Persona | Trait:
    """The definition in a body. Raises Unprocessable with every mistake."""
    match Kind(kind):
        case Kind.SEGMENT:
            return parse_segment(body, key=key)
        case Kind.PERSONA:
            return parse_persona(body, key=key)
        case Kind.TRAIT:
            return parse_trait(body, key=key)


def traits_of(rows: Iterable[Row]) -> TraitsInForce:
    """The traits among what is in force."""
    return TraitsInForce.of(
        parse_trait(row.body, key=row.key) for row in rows if row.kind == Kind.TRAIT
    )


def _leaf(document: dict[str, Any]) -> EventCount:
    leaf = parse_condition(document, allow_event_leaves=True)
    assert isinstance(leaf, EventCount)  # noqa: S101 - it was one when it was registered
    return leaf
