"""Save, check, publish and archive segments, personas and traits.

Publishing puts a definition in force for every worker at once: it waits for the batches that are
under way, and every later one decides by it. Those who are looked at already follow in the
background.
"""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.compile_definitions import CircleError, computed_in
from services.profile.domain.condition_types import check_traits
from services.profile.domain.definitions import Definitions
from services.profile.domain.segment import Persona, Segment, is_static
from services.profile.domain.trait import ComputedTrait, Trait, TraitsInForce
from services.profile.storage import definition_jobs, definitions
from services.profile.storage.definition_kind import Kind
from services.profile.storage.definitions import Row, State, Stored
from services.profile.use_cases.keep_streams import put_streams
from services.profile.use_cases.live_definitions import compiled, parse_definition, traits_of
from shared.conditions.leaves import leaves_of
from shared.conditions.mistakes import did_you_mean
from shared.conditions.tree import Condition, InSegment, IsPersona
from shared.errors import Conflict, NotFound, Problem, Unprocessable
from shared.postgres import audit, drafts
from shared.postgres.documents import change_draft_status, publish_document, save_draft
from shared.postgres.drafts import Body, Draft, Status
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction

MAX_IN_FORCE = 1_000
"""Segments, personas and traits together."""
MAX_COMPUTED = 50
MAX_DECLARED = 200

Definition = Segment | Persona | Trait


def parse(kind: Kind, key: str, body: Body) -> Definition:
    """The definition in a body. Raises Unprocessable with every mistake."""
    return parse_definition(kind, key, body)


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
    async with transaction(engine) as tx:
        return await save_draft(tx, kind, key, body, may_replace=may_replace, who=who)


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
        _stays_what_it_is(stored, definition)
        after = _with(stored, kind, key, draft.body)
        _check(state, after, kind, definition)
        epoch = await definitions.bump(tx)
        await definitions.put(tx, kind, key, draft.body, since=epoch)
        await put_streams(tx, after, stored, epoch)
        await definition_jobs.insert(tx, epoch=epoch, kind=kind, key=key)
        if kind is Kind.TRAIT:
            await bump_epoch(tx)
        return published


async def archive(
    engine: AsyncEngine,
    kind: Kind,
    key: str,
    *,
    may_replace: Callable[[int | None], None],
    who: audit.Who,
) -> Draft:
    """The key, out of force for good: its members leave in the background.

    Raises NotFound, and Conflict while something in force refers to it.
    """
    async with transaction(engine) as tx:
        before = await drafts.lock(tx, kind, key)
        if before is None:
            raise NotFound(f"There is no {kind} {key}.")
        may_replace(before.draft_version)
        if before.status is Status.ARCHIVED:
            return before
        archived = await change_draft_status(
            tx, kind, before, Status.ARCHIVED, action="archive", who=who
        )
        await definitions.exclude(tx)
        stored = await definitions.load(tx)
        after = _with(stored, kind, key, None)
        if len(after.rows) == len(stored.rows):
            return archived  # it was never in force
        live = next(row.body for row in stored.rows if (row.kind, row.key) == (kind, key))
        users = _users(after, kind, key, parse(kind, key, live))
        if users:
            raise Conflict(f"{kind} {key} is used by {', '.join(sorted(users)[:10])}.")
        epoch = await definitions.bump(tx)
        await definitions.put(tx, kind, key, None, since=epoch)
        await put_streams(tx, after, stored, epoch)
        await definition_jobs.insert(tx, epoch=epoch, kind=kind, key=key)
        if kind is Kind.TRAIT:
            await bump_epoch(tx)
        return archived


def _stays_what_it_is(stored: Stored, definition: Segment | Persona | Trait) -> None:
    """Raises Conflict where a static list would become a condition, or the other way round."""
    if not isinstance(definition, Segment):
        return
    for row in stored.rows:
        if (row.kind, row.key) == (Kind.SEGMENT, definition.key):
            if is_static(row.body) and not definition.static:
                raise Conflict(f"segment {row.key} is a static list: it takes no condition.")
            if definition.static and not is_static(row.body):
                raise Conflict(f"segment {row.key} has a condition: it is no static list.")


def _with(stored: Stored, kind: Kind, key: str, body: Body | None) -> Stored:
    rows = [row for row in stored.rows if (row.kind, row.key) != (kind, key)]
    if body is not None:
        rows.append(Row(kind, key, 0, body))
    return Stored(rows, stored.leaves, stored.streams)


def _users(after: Stored, kind: Kind, key: str, gone: Definition) -> list[str]:
    """The keys of what is in force and refers to the definition that goes."""
    others = [parse(Kind(row.kind), row.key, row.body) for row in after.rows]
    conditions = {one.key: one.condition for one in others if isinstance(one, Segment | Persona)}
    if isinstance(gone, ComputedTrait):
        return [name for name, one in conditions.items() if gone.name in set(computed_in(one))]
    if kind is Kind.TRAIT:
        return []
    return [name for name, one in conditions.items() if key in _named(one, kind)]


def _check(state: State, after: Stored, kind: Kind, definition: Definition) -> Definitions:
    """Compile what would be in force. Raises Unprocessable."""
    problems = []
    if len(after.rows) > MAX_IN_FORCE:
        problems.append(Problem("", "too_many", f"at most {MAX_IN_FORCE} are in force"))
    traits = traits_of(after.rows)
    if isinstance(definition, Segment | Persona):
        problems += _check_names(after, definition)
        problems += check_traits(definition.condition, traits)
    else:
        problems += _check_trait(after, definition, traits)
    if problems:
        raise Unprocessable(f"{kind} {definition.key} cannot be published", problems)
    try:
        return compiled(state, after)
    except CircleError as error:
        names = ["the personas" if name.startswith("$") else name for name in error.path]
        problem = Problem("condition", "circle", f"it would refer to itself: {' → '.join(names)}")
        raise Unprocessable(f"{kind} {definition.key} closes a circle", [problem]) from None


def _check_names(after: Stored, definition: Segment | Persona) -> list[Problem]:
    problems = []
    for of_kind in (Kind.SEGMENT, Kind.PERSONA):
        there = {row.key for row in after.rows if row.kind == of_kind}
        for name in sorted(_named(definition.condition, of_kind) - there):
            hint = did_you_mean(name, sorted(there))
            message = f"no {of_kind} {name[:100]} is in force.{hint}"
            problems.append(Problem("condition", f"unknown_{of_kind}", message))
    return problems


def _check_trait(after: Stored, trait: Trait, traits: TraitsInForce) -> list[Problem]:
    """What stands against a trait beside the others, and in the conditions that ask for it."""
    problems = []
    rows = [row for row in after.rows if row.kind == Kind.TRAIT]
    same = [
        row.key
        for row in rows
        if row.key != trait.key
        and (other := parse(Kind.TRAIT, row.key, row.body)).name == trait.name
        and type(other) is type(trait)
    ]
    if same:
        problems.append(Problem("name", "unique", f"trait {same[0]} has this name already"))
    limit, count = (
        (MAX_COMPUTED, len(traits.computed))
        if isinstance(trait, ComputedTrait)
        else (MAX_DECLARED, len(traits.declared))
    )
    if count > limit:
        problems.append(Problem("", "too_many", f"at most {limit} are in force"))
    for row in after.rows:
        definition = parse(Kind(row.kind), row.key, row.body)
        if isinstance(definition, Segment | Persona):
            broken = check_traits(definition.condition, traits)
            if broken:
                message = f"{row.kind} {row.key} would not fit: {broken[0].message}"
                problems.append(Problem("", "in_use", message))
    return problems


def _named(condition: Condition, kind: Kind) -> set[str]:
    """The segments, or personas, that a condition names."""
    if kind is Kind.SEGMENT:
        return {leaf.segment for leaf in leaves_of(condition) if isinstance(leaf, InSegment)}
    return {leaf.persona for leaf in leaves_of(condition) if isinstance(leaf, IsPersona)}
