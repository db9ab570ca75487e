"""`/v1/leaves`: event leaves that others want to see in every snapshot, by their hash."""

from typing import Annotated

from services.profile.api.definition_schemas import LeafView, LeavesBody
from services.profile.api.profiles import Reader
from services.profile.domain.segment import read_profile_condition
from services.profile.storage import definitions
from services.profile.use_cases.register_leaves import register_leaves
from shared.access import Permission
from shared.conditions.tree import EventCount
from shared.errors import Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["event leaves"])
Registrar = Annotated[Principal, requires(Permission.REGISTER)]


@router.post("/v1/leaves")
async def register(body: LeavesBody, engine: Engine, principal: Registrar) -> list[LeafView]:
    """Register event leaves; again is free. Snapshots carry their counts from now on, which are
    whole once the state is `ready`."""
    problems: list[Problem] = []
    leaves = []
    for place, document in enumerate(body.leaves):
        leaf = read_profile_condition(document, problems, path=f"leaves[{place}]")
        if isinstance(leaf, EventCount):
            leaves.append(leaf)
        elif leaf is not None:
            problems.append(Problem(f"leaves[{place}]", "event_leaf", "is no event leaf"))
    if problems:
        raise Unprocessable("these are no event leaves", problems)
    hashes = await register_leaves(engine, leaves, who=principal.who)
    listed = {one.hash: one for one in await _listed(engine)}
    return [listed[hash_] for hash_ in dict.fromkeys(hashes)]


@router.get("/v1/leaves")
async def list_leaves(engine: Engine, _: Reader) -> list[LeafView]:
    """Every event leaf that was registered, by hash."""
    return await _listed(engine)


async def _listed(engine: Engine) -> list[LeafView]:
    async with transaction(engine) as tx:
        state = await definitions.state(tx)
        stored = await definitions.load(tx)
    return [
        LeafView(
            hash=row.hash,
            leaf=row.body,
            state="ready" if row.since <= state.floor else "warming",
        )
        for row in stored.leaves
    ]
