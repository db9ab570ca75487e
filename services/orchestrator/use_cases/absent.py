"""What somebody is told who asks for what is not there: it never was, or its person was erased."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage import erasures, records
from shared.errors import Gone, NotFound


async def absent(tx: AsyncConnection, what: str, id_: UUID) -> NotFound | Gone:
    """The error to raise for an action, a task or a decision (`what`) that was not found."""
    if await erasures.is_erased(tx, id_):
        return Gone(f"The person of {what} {id_} was erased.")
    return NotFound(f"There is no {what} {id_}.")


async def person_of(tx: AsyncConnection, profile_id: UUID) -> list[UUID]:
    """The ids of all profiles that are one person with this one; none if it is not known. Raises
    Gone for an erased one."""
    if await erasures.is_profile_erased(tx, profile_id):
        raise Gone(f"Profile {profile_id} was erased.")
    return await records.person(tx, profile_id)
