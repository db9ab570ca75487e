"""Check a schema, or a sample event against it, as a worker would; nothing is stored."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.decode import MAX_DEPTH, deeper_than
from services.ingest.domain.event_schema import PARTS, compile_schema
from services.ingest.storage.event_schemas import KIND
from services.ingest.use_cases.save_event_schema import check_event_schema
from shared.errors import NotFound, Problem, Unprocessable
from shared.postgres import drafts
from shared.postgres.drafts import Body, Draft, Version
from shared.postgres.transaction import transaction

DRAFT = 0
"""The version under which a schema is compiled that is not published."""


async def validate_event(
    engine: AsyncEngine,
    key: str,
    *,
    event: Body | None,
    schema: Body | None,
    version: int | None,
) -> None:
    """Returns when the schema can be used and `event`, if any, keeps it.

    The schema is the one given, else the published `version`, else the draft. `event` has
    `properties`, `traits` and `context`, each an object. Raises Unprocessable with every mistake,
    NotFound when there is no such schema.
    """
    if schema is None:
        schema = await _stored(engine, key, version)
    check_event_schema(key, {"schema": schema})
    if event is None:
        return
    if deeper_than(event, MAX_DEPTH):
        problem = Problem("event", "max_depth", f"is nested deeper than {MAX_DEPTH} levels")
        raise Unprocessable("The event is nested too deeply.", [problem])
    parts = {name: event.get(name) or {} for name in PARTS}
    problems = compile_schema(key, version or DRAFT, schema).errors(parts)
    if problems:
        first = problems[0]
        raise Unprocessable(
            f"The event breaks the schema of {key!r}: {first.path} {first.message}", problems
        )


async def _stored(engine: AsyncEngine, key: str, version: int | None) -> Body:
    async with transaction(engine) as tx:
        found: Draft | Version | None
        if version is None:
            found = await drafts.find(tx, KIND, key)
        else:
            found = await drafts.version(tx, KIND, key, version)
    if found is None:
        which = "" if version is None else f" version {version} of the"
        raise NotFound(f"There is no{which} schema of {key!r}.")
    schema: Body = found.body["schema"]
    return schema
