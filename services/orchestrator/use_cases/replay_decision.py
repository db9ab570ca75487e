"""Makes a decision again from what it saw, and compares."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.replay import Versions, read, replay
from services.orchestrator.storage import records, replay_inputs, saved
from services.orchestrator.storage.configuration import Stored
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.absent import absent
from services.orchestrator.use_cases.load_ruleset import Compiler
from services.orchestrator.use_cases.naming import action_ids
from shared.contracts.decision import decision_decoder, decision_encoder
from shared.errors import Conflict
from shared.postgres import drafts

MAX_DIFFERENCES = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """A place of the record where the answer is another one now."""

    path: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    """Whether the decision came out the same, bit for bit; else where it did not."""

    decision_id: UUID
    profile_id: str
    same: bool
    differences: list[Difference] = field(default_factory=list)


async def replay_decision(tx: AsyncConnection, decision_id: UUID) -> Replayed:
    """Raises NotFound for no decision, Gone for one of an erased person, and Conflict for one that
    kept nothing of what it saw."""
    body = await records.decision_body(tx, decision_id)
    if body is None:
        raise await absent(tx, "decision", decision_id)
    found = await replay_inputs.find(tx, decision_id)
    if found is None:
        raise Conflict(
            f"Decision {decision_id} was no choice of rules for a touchpoint, and only of such is "
            "kept what they saw: an answer of /v1/decide, what was done instead of an action, and "
            "what was taken back when it was due are read as they are recorded, with every "
            f"candidate and what it saw, at GET /v1/decisions/{decision_id}. Of an action that "
            "stands in for another (`instead_of`), or was taken back, the decision that planned "
            "it first can be made again."
        )
    kept, recorded = read(found), decision_decoder.decode(body)
    ruleset = Compiler()(await _stored(tx, kept.versions))
    again = decision_encoder.encode(replay(kept, recorded, ruleset, action_ids))
    if again == body:
        return Replayed(decision_id, recorded.profile_id, same=True)
    differences = list(_differences("", orjson.loads(body), orjson.loads(again)))
    return Replayed(
        decision_id, recorded.profile_id, same=False, differences=differences[:MAX_DIFFERENCES]
    )


async def _stored(tx: AsyncConnection, versions: Versions) -> Stored:
    """The configuration in these versions; what is not there any more is left out."""
    return Stored(
        epoch=versions.epoch,
        rules=await _each(versions.rules, lambda key, n: drafts.version(tx, Kind.RULE, key, n)),
        policies=await _each(
            versions.policies, lambda key, n: drafts.version(tx, Kind.CONTACT_POLICY, key, n)
        ),
        templates=await _saved(tx, saved.Kind.TEMPLATE, versions.templates),
        channels=await _saved(tx, saved.Kind.CHANNEL, versions.channels),
        resources=await _saved(tx, saved.Kind.RESOURCE, versions.resources),
    )


async def _saved(
    tx: AsyncConnection, kind: saved.Kind, versions: Mapping[str, int]
) -> list[saved.Saved]:
    return await _each(versions, lambda key, number: saved.version(tx, kind, key, number))


async def _each(
    versions: Mapping[str, int], find: Callable[[str, int], Awaitable[T | None]]
) -> list[T]:
    found = [await find(key, number) for key, number in sorted(versions.items())]
    return [one for one in found if one is not None]


def _differences(path: str, recorded: Any, replayed: Any) -> Iterator[Difference]:
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in sorted(recorded.keys() | replayed.keys()):
            place = f"{path}.{name}" if path else name
            yield from _differences(place, recorded.get(name), replayed.get(name))
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for place in range(max(len(recorded), len(replayed))):
            yield from _differences(
                f"{path}[{place}]",
                recorded[place] if place < len(recorded) else None,
                replayed[place] if place < len(replayed) else None,
            )
    elif recorded != replayed:
        yield Difference(path, recorded, replayed)
