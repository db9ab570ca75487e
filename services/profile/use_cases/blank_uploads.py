"""Blanks the rows of waiting files of static lists that name somebody who is being erased."""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.list_rows import BLANK, decode_row
from services.profile.domain.profile import IdentifierKey
from services.profile.storage import list_uploads
from services.profile.use_cases.change_list import stored_form


async def blank_uploads(tx: AsyncConnection, named: Collection[IdentifierKey], rules: Rules) -> int:
    """Blank the rows with one of the identifiers, as it was written or as it is stored; how many
    files. One file is in memory at a time."""
    blanked = 0
    for id_ in await list_uploads.waiting(tx) if named else ():
        rows = await list_uploads.lock_rows(tx, id_)
        left = [BLANK if _names_one(row, named, rules) else row for row in rows]
        if left != rows:
            await list_uploads.set_rows(tx, id_, left)
            blanked += 1
    return blanked


def _names_one(text: str, named: Collection[IdentifierKey], rules: Rules) -> bool:
    if text == BLANK:
        return False
    row = decode_row(text)
    if row.type is None:
        return False
    form = stored_form(row.type, row.value, rules)
    return f"{row.type}\0{row.value}" in named or f"{row.type}\0{form}" in named
