"""Let one arm of an experiment's node take all who come there."""

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.compared import split_at
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.storage import journey_states
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey
from shared.conditions.mistakes import shown
from shared.errors import Conflict, Problem, Unprocessable
from shared.postgres import audit, drafts, epochs
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction


async def conclude_node(
    engine: AsyncEngine, key: str, node: str, arm: str | None, *, who: audit.Who
) -> Draft:
    """The journey, in every version of which the arm takes all who come to the node from now on;
    without an arm people are split as the document says. Raises NotFound, Conflict for what was
    never published, and Unprocessable for a node that is no experiment or has no such arm."""
    async with transaction(engine) as tx:
        draft = drafts.there(await drafts.lock(tx, Kind.JOURNEY, key), "journey", key)
        _check(await _live(tx, draft), node, arm)
        await journey_states.put_winner(tx, key, node, arm)
        await audit.append(
            tx, who=who, kind=str(Kind.JOURNEY), key=key, action="conclude",
            after={"node": node, "arm": arm},
        )  # fmt: skip
        await epochs.bump_epoch(tx)
        return draft


async def _live(tx: AsyncConnection, draft: Draft) -> Journey:
    version = await drafts.version(tx, Kind.JOURNEY, draft.key, draft.live_version)
    if version is None:
        raise Conflict(f"journey {draft.key} was never published: nobody is in it.")
    return parsed_journey(draft.key, version.body, version.version)


def _check(journey: Journey, node: str, arm: str | None) -> None:
    split = split_at(journey, node)
    if split is None:
        problem = Problem("node", "unknown_node", f"{shown(node)} is no experiment of the journey")
        raise Unprocessable("there is no such experiment", [problem])
    arms = [one.key for one in split.arms]
    if arm is not None and arm not in arms:
        problem = Problem("arm", "unknown_arm", f"is none of the arms: {', '.join(arms)}")
        raise Unprocessable("there is no such arm", [problem])
