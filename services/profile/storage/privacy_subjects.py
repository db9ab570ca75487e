"""The identifiers of people who are being erased, with the random names that stand for them from
now on: kept from the first step of an erasure to its last, and no longer."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.storage.identifiers import identifier_id


class Subject(NamedTuple):
    """An identifier (`type NUL value`) of somebody who is being erased. `name` is the random value
    that stands for it; None for one that many people use, which stays. `held`: it was a person's
    own, so it is suppressed; else it only stood beside others in what she did."""

    key: str
    name: str | None
    held: bool


_ADD_SUBJECTS = text(
    """
    INSERT INTO privacy_subject (request_id, identifier_id, type, value, name, held)
    SELECT CAST(:id AS uuid), n.id, n.type, n.value, n.name, n.held
      FROM unnest(CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:values AS text[]),
                  CAST(:names AS text[]), CAST(:held AS boolean[]))
           AS n (id, type, value, name, held)
    ON CONFLICT DO NOTHING
    """
)
_SUBJECTS = text(
    "SELECT type, value, name, held FROM privacy_subject WHERE request_id = CAST(:id AS uuid)"
)
_FORGET = text("DELETE FROM privacy_subject WHERE request_id = CAST(:id AS uuid)")


async def add(tx: AsyncConnection, id_: str, subjects: Collection[Subject]) -> None:
    """Keep the identifiers until the request is finished; known ones stay as they are."""
    parted = [one.key.split("\0", 1) for one in subjects]
    await tx.execute(
        _ADD_SUBJECTS,
        {
            "id": id_,
            "ids": [identifier_id(one.key) for one in subjects],
            "types": [type_ for type_, _ in parted],
            "values": [value for _, value in parted],
            "names": [one.name for one in subjects],
            "held": [one.held for one in subjects],
        },
    )


async def read(tx: AsyncConnection, id_: str) -> list[Subject]:
    """The identifiers of those that a request erases."""
    rows = await tx.execute(_SUBJECTS, {"id": id_})
    return [Subject(f"{row.type}\0{row.value}", row.name, row.held) for row in rows]


async def forget(tx: AsyncConnection, id_: str) -> None:
    """Nothing is left to erase."""
    await tx.execute(_FORGET, {"id": id_})
