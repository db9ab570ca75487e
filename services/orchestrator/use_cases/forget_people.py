"""Forgets erased people, and takes back from the channels what was published in their name."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.delivering import retraction_of
from services.orchestrator.domain.effects import Effects, retract
from services.orchestrator.domain.history import History
from services.orchestrator.domain.update import Routed
from services.orchestrator.storage import deliveries, erasures, histories
from services.orchestrator.use_cases.absorb_profile import Persons
from services.orchestrator.use_cases.naming import erasure_id

ERASED = "erased"


async def forget_people(
    tx: AsyncConnection, erasing: Sequence[Routed], persons: Persons, effects: Effects
) -> None:
    """Erase whoever was erased, and what was done in their name by profiles merged into them.

    What their channels have, and was not over, is taken back by message: it names the action and
    nothing of the person. What still waits to be published is dropped before.
    """
    told = {update.profile_id for update in erasing}
    whole = told | {persons.of(profile_id) for profile_id in told}
    found = {profile_id: History() for profile_id in sorted(whole)}
    await histories.read_in_flight(tx, found, found)
    published = [
        action.action_id
        for history in found.values()
        for action in history.in_flight.values()
        if action.published
    ]
    await deliveries.tell_of_erasure(tx, whole, published, partial(retraction_of, reason=ERASED))
    await erasures.forget(tx, told, whole)
    persons.forget(whole)
    for history in found.values():
        for action_id, action in sorted(history.in_flight.items()):
            if action.published:
                retract(
                    effects,
                    history,
                    action,
                    decision_id=erasure_id(action_id),
                    status="retracted",
                    reason=ERASED,
                )
