"""Save, check, publish and archive segments and personas, and register event leaves.

Publishing puts a definition in force for every worker at once: it waits for the batches that are
under way, and every later one decides by it. Those who are looked at already follow in the
background.
"""

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.compile_definitions import CircleError, Needed, needed_streams
from services.profile.domain.definitions import Definitions
from services.profile.domain.segment import (
    Persona,
    Segment,
    is_static,
    parse_persona,
    parse_segment,
)
from services.profile.storage import definition_jobs, definitions
from services.profile.storage.definition_kind import Kind
from services.profile.storage.definitions import LeafRow, Row, State, Stored, StreamRow
from services.profile.use_cases.live_definitions import compiled
from shared import clock
from shared.conditions.leaves import leaf_hash, leaves_of
from shared.conditions.mistakes import did_you_mean
from shared.conditions.parse import parse_condition
from shared.conditions.tree import Condition, EventCount, InSegment, IsPersona, to_json
from shared.errors import Conflict, NotFound, Problem, Unprocessable
from shared.postgres import audit, drafts
from shared.postgres.documents import publish_document, save_document
from shared.postgres.drafts import Body, Draft, Status
from shared.postgres.transaction import transaction

MAX_IN_FORCE = 1_000
"""Segments and personas together, and event leaves beside them."""
LEAVES = "leaves"


def parse(kind: Kind, key: str, body: Body) -> Segment | Persona:
    """The definition in a body. Raises Unprocessable with every mistake."""
    if kind is Kind.SEGMENT:
        return parse_segment(body, key=key)
    return parse_persona(body, key=key)


async def save(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    body: Body,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The draft as it now stands. `may_replace` is given the number of the present draft, or None,
    and raises what forbids the write. Raises Unprocessable with every mistake of the body."""
    parse(kind, key, body)
    now = clock.now()
    async with transaction(engine) as tx:
        return await save_document(
            tx,
            kind,
            key,
            lock=partial(drafts.lock, tx, kind, key),
            insert=partial(drafts.insert, tx, kind, key, body, at=now, by=who.name),
            update=partial(drafts.update, tx, kind, key, body, at=now, by=who.name),
            may_replace=lambda row: may_replace(None if row is None else row.draft_version),
            who=who,
        )


async def validate(engine: AsyncEngine, kind: Kind, key: str, body: Body | None) -> None:
    """Returns when `body`, or without one the stored draft, could be published.

    Raises Unprocessable with every mistake, and NotFound when there is neither.
    """
    async with transaction(engine) as tx:
        if body is None:
            draft = await drafts.find(tx, kind, key)
            if draft is None:
                raise NotFound(f"There is no {kind} {key}: give a document to check.")
            body = draft.body
        definition = parse(kind, key, body)
        stored = await definitions.load(tx)
        after = _with(stored, kind, key, body)
        _check(await definitions.state(tx), after, kind, definition)


async def publish(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The key with its new live version. Raises NotFound, and Unprocessable when the draft breaks
    a rule of today, names what is not there, or would close a circle."""
    async with transaction(engine) as tx:
        draft = await drafts.lock(tx, kind, key)
        if draft is None:
            raise NotFound(f"There is no {kind} {key}.")
        may_replace(draft.draft_version)
        definition = parse(kind, key, draft.body)
        published = await publish_document(tx, kind, draft, who=who)
        state = await definitions.exclude(tx)
        stored = await definitions.load(tx)
        _stays_what_it_is(stored, kind, definition)
        after = _with(stored, kind, key, draft.body)
        _check(state, after, kind, definition)
        epoch = await definitions.bump(tx)
        await definitions.put(tx, kind, key, draft.body, since=epoch)
        await _put_streams(tx, after, stored, epoch)
        await definition_jobs.insert(tx, epoch=epoch, kind=kind, key=key)
        return published


async def archive(engine: AsyncEngine, kind: Kind, key: str, *, who: audit.Who) -> Draft:
    """The key, out of force for good: its members leave in the background.

    Raises NotFound, and Conflict while something in force refers to it.
    """
    async with transaction(engine) as tx:
        before = await drafts.lock(tx, kind, key)
        if before is None:
            raise NotFound(f"There is no {kind} {key}.")
        if before.status is Status.ARCHIVED:
            return before
        now = clock.now()
        archived = await drafts.set_status(tx, kind, key, Status.ARCHIVED, at=now, by=who.name)
        await audit.append(
            tx,
            who=who,
            kind=kind,
            key=key,
            action="archive",
            before={"status": before.status, "version": before.live_version},
            after={"status": archived.status, "version": archived.live_version},
        )
        await definitions.exclude(tx)
        stored = await definitions.load(tx)
        after = _with(stored, kind, key, None)
        if len(after.rows) == len(stored.rows):
            return archived  # it was never in force
        users = [
            row.key
            for row in after.rows
            if key in _named(parse(Kind(row.kind), row.key, row.body).condition, kind)
        ]
        if users:
            raise Conflict(f"{kind} {key} is used by {', '.join(sorted(users)[:10])}.")
        epoch = await definitions.bump(tx)
        await definitions.put(tx, kind, key, None, since=epoch)
        await _put_streams(tx, after, stored, epoch)
        await definition_jobs.insert(tx, epoch=epoch, kind=kind, key=key)
        return archived


async def register_leaves(
    engine: AsyncEngine, leaves: Sequence[EventCount], *, who: audit.Who
) -> list[str]:
    """The hashes of event leaves, which snapshots carry from now on; registering again is free.

    A larger count of a leaf that is there makes it remember more.
    """
    async with transaction(engine) as tx:
        await definitions.exclude(tx)
        stored = await definitions.load(tx)
        known = {row.hash: _event_leaf(row.body) for row in stored.leaves}
        new: dict[str, EventCount] = {}
        for leaf in leaves:
            name = leaf_hash(leaf)
            there = new.get(name) or known.get(name)
            if there is None or there.count < leaf.count:
                new[name] = leaf
        if new:
            if len(known | new) > MAX_IN_FORCE:
                rule = Problem("leaves", "too_many", f"at most {MAX_IN_FORCE} are kept")
                raise Unprocessable("too many event leaves", [rule])
            epoch = await definitions.bump(tx)
            rows = [row for row in stored.leaves if row.hash not in new]
            for name, leaf in sorted(new.items()):
                await definitions.put_leaf(tx, name, to_json(leaf), since=epoch)
                rows.append(LeafRow(name, epoch, to_json(leaf)))
            after = Stored(stored.rows, rows, stored.streams)
            await _put_streams(tx, after, stored, epoch)
            await definition_jobs.insert(tx, epoch=epoch, kind=LEAVES, key="")
            await audit.append(
                tx,
                who=who,
                kind=LEAVES,
                key=",".join(sorted(new))[:200],
                action="register",
                before=None,
                after={name: to_json(leaf) for name, leaf in new.items()},
            )
        return [leaf_hash(leaf) for leaf in leaves]


def _stays_what_it_is(stored: Stored, kind: Kind, definition: Segment | Persona) -> None:
    """Raises Conflict where a static list would become a condition, or the other way round."""
    for row in stored.rows:
        if (row.kind, row.key) == (kind, definition.key) and isinstance(definition, Segment):
            if is_static(row.body) and not definition.static:
                raise Conflict(f"segment {row.key} is a static list: it takes no condition.")
            if definition.static and not is_static(row.body):
                raise Conflict(f"segment {row.key} has a condition: it is no static list.")


def _with(stored: Stored, kind: Kind, key: str, body: Body | None) -> Stored:
    rows = [row for row in stored.rows if (row.kind, row.key) != (kind, key)]
    if body is not None:
        rows.append(Row(kind, key, 0, body))
    return Stored(rows, stored.leaves, stored.streams)


def _check(state: State, after: Stored, kind: Kind, definition: Segment | Persona) -> Definitions:
    """Compile what would be in force. Raises Unprocessable."""
    problems = []
    if len(after.rows) > MAX_IN_FORCE:
        problems.append(Problem("", "too_many", f"at most {MAX_IN_FORCE} are in force"))
    for of_kind in Kind:
        there = {row.key for row in after.rows if row.kind == of_kind}
        for name in sorted(_named(definition.condition, of_kind) - there):
            hint = did_you_mean(name, sorted(there))
            message = f"no {of_kind} {name[:100]} is in force.{hint}"
            problems.append(Problem("condition", f"unknown_{of_kind}", message))
    if problems:
        raise Unprocessable(f"{kind} {definition.key} cannot be published", problems)
    try:
        return compiled(state, after)
    except CircleError as error:
        names = ["the personas" if name.startswith("$") else name for name in error.path]
        problem = Problem("condition", "circle", f"it would refer to itself: {' → '.join(names)}")
        raise Unprocessable(f"{kind} {definition.key} closes a circle", [problem]) from None


def _named(condition: Condition, kind: Kind) -> set[str]:
    """The segments, or personas, that a condition names."""
    if kind is Kind.SEGMENT:
        return {leaf.segment for leaf in leaves_of(condition) if isinstance(leaf, InSegment)}
    return {leaf.persona for leaf in leaves_of(condition) if isinstance(leaf, IsPersona)}


async def _put_streams(tx: AsyncConnection, after: Stored, before: Stored, epoch: int) -> None:
    """A stream that is new, or has to keep more, is of this epoch: its history is read again."""
    conditions = [parse(Kind(row.kind), row.key, row.body).condition for row in after.rows]
    needed = needed_streams([*conditions, *(_event_leaf(row.body) for row in after.leaves)])
    await definitions.replace_streams(
        tx, {key: _stream(before.streams.get(key), one, epoch) for key, one in needed.items()}
    )


def _stream(before: StreamRow | None, needed: Needed, epoch: int) -> StreamRow:
    if before is None or before.keep < needed.keep:
        return StreamRow(needed.keep, epoch)
    return StreamRow(needed.keep, before.since)


def _event_leaf(document: Body) -> EventCount:
    leaf = parse_condition(document, allow_event_leaves=True)
    assert isinstance(leaf, EventCount)  # noqa: S101 - it was one when it was registered
    return leaf
