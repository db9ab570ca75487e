"""Files of static lists' members, on their way: one row each, page by page."""

from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS = """
    id::text, list AS key, status, "of", examined, changed, unresolved, problems::text AS problems,
    uploaded_by, uploaded_by_name, created_at, finished_at, error
"""
_INSERT = text(
    """
    INSERT INTO list_upload (id, list, rows, "of", uploaded_by, uploaded_by_name)
    VALUES (CAST(:id AS uuid), :list, CAST(:rows AS text[]), :of, :by, :by_name)
    """
)
_READ = text(
    f"SELECT {_COLUMNS} FROM list_upload"  # noqa: S608 - constants
    " WHERE list = :list AND id = CAST(:id AS uuid)"
)
_TAKE = text(
    f"""
    SELECT {_COLUMNS} FROM list_upload WHERE finished_at IS NULL
     ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - constants
)
_PAGE = text(
    """
    SELECT unnest(rows[CAST(:first AS integer) : CAST(:last AS integer)]) FROM list_upload
     WHERE id = CAST(:id AS uuid)
    """
)
_MOVE = text(
    """
    UPDATE list_upload
       SET examined = examined + :examined, changed = changed + :changed,
           unresolved = unresolved + :unresolved, problems = CAST(:problems AS jsonb),
           status = CASE WHEN :done THEN 'done' ELSE 'running' END,
           rows = CASE WHEN :done THEN NULL ELSE rows END,
           finished_at = CASE WHEN :done THEN clock_timestamp() END
     WHERE id = CAST(:id AS uuid)
    """
)
_FAIL = text(
    """
    UPDATE list_upload
       SET status = 'failed', error = :error, rows = NULL, finished_at = clock_timestamp()
     WHERE id = CAST(:id AS uuid) AND finished_at IS NULL
    """
)
_WAITING = text("SELECT id::text FROM list_upload WHERE finished_at IS NULL ORDER BY id")
_LOCK_ROWS = text("SELECT rows FROM list_upload WHERE id = CAST(:id AS uuid) FOR UPDATE")
_SET_ROWS = text("UPDATE list_upload SET rows = CAST(:rows AS text[]) WHERE id = CAST(:id AS uuid)")
_OPEN = text("SELECT count(*) FROM list_upload WHERE list = :list AND finished_at IS NULL")


class Upload(NamedTuple):
    """A file and how far it has come: `examined` of `of` rows, `changed` were put on or taken off,
    `unresolved` named nobody; the first of these are `problems`."""

    id: str
    key: str
    status: str
    of: int
    examined: int
    changed: int
    unresolved: int
    problems: list[dict[str, Any]]
    uploaded_by: str
    uploaded_by_name: str
    created_at: datetime
    finished_at: datetime | None
    error: str | None


async def insert(
    tx: AsyncConnection, *, id_: str, key: str, rows: list[str], by: str, by_name: str
) -> None:
    """Let a file wait for a sweeper."""
    values = {"id": id_, "list": key, "rows": rows, "of": len(rows), "by": by, "by_name": by_name}
    await tx.execute(_INSERT, values)


async def read(tx: AsyncConnection, key: str, id_: str) -> Upload | None:
    """One upload of a list; None when there is none."""
    return _upload((await tx.execute(_READ, {"list": key, "id": id_})).one_or_none())


async def count_open(tx: AsyncConnection, key: str) -> int:
    """How many uploads of a list wait or run."""
    count: int = (await tx.execute(_OPEN, {"list": key})).scalar_one()
    return count


async def take(tx: AsyncConnection) -> Upload | None:
    """The oldest open upload that nobody else holds; None when there is none."""
    return _upload((await tx.execute(_TAKE)).one_or_none())


async def page(tx: AsyncConnection, upload: Upload, limit: int) -> list[str]:
    """The next rows, at most `limit`."""
    first = upload.examined + 1
    values = {"id": upload.id, "first": first, "last": upload.examined + limit}
    return [row[0] for row in await tx.execute(_PAGE, values)]


async def waiting(tx: AsyncConnection) -> list[str]:
    """Ids of the uploads that wait or run."""
    return list((await tx.execute(_WAITING)).scalars())


async def lock_rows(tx: AsyncConnection, id_: str) -> list[str]:
    """All rows of an upload, which is ours until the end of the transaction; none when it ended."""
    return (await tx.execute(_LOCK_ROWS, {"id": id_})).scalar() or []


async def set_rows(tx: AsyncConnection, id_: str, rows: list[str]) -> None:
    """Replace the rows of a locked upload, place by place."""
    await tx.execute(_SET_ROWS, {"id": id_, "rows": rows})


async def move(
    tx: AsyncConnection,
    upload: Upload,
    *,
    examined: int,
    changed: int,
    unresolved: int,
    problems: list[dict[str, Any]],
    done: bool,
) -> None:
    """Count a page. What a finished file said is forgotten."""
    await tx.execute(
        _MOVE,
        {
            "id": upload.id,
            "examined": examined,
            "changed": changed,
            "unresolved": unresolved,
            "problems": orjson.dumps(problems).decode(),
            "done": done,
        },
    )


async def fail(tx: AsyncConnection, id_: str, error: str) -> None:
    """End an open upload that cannot go on."""
    await tx.execute(_FAIL, {"id": id_, "error": error})


def _upload(row: Row[Any] | None) -> Upload | None:
    if row is None:
        return None
    found = Upload._make(row)
    return found._replace(problems=orjson.loads(row.problems))
