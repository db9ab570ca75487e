"""Puts the members of uploaded files on their static lists, a page at a time: a work of the
sweeper."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.domain.list_rows import BLANK, ListRow, decode_row, encode_row
from services.profile.storage import list_uploads
from services.profile.storage.list_uploads import Upload
from services.profile.use_cases.backfill_definitions import MOST_FRAMES
from services.profile.use_cases.change_list import Asked, change_list, require_list
from services.profile.use_cases.live_definitions import LiveDefinitions
from shared.contracts.topics import Topics
from shared.errors import NotFound, TooMany
from shared.ids import time_ordered_id
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit, outbox
from shared.postgres.transaction import transaction

MAX_WAITING = 10
"""Files of one list that may wait at once."""
MAX_PROBLEMS = 100
"""So many rows that came to nothing are kept of a file."""


async def take_upload(
    tx: AsyncConnection, key: str, rows: list[ListRow], *, who: audit.Who, live: LiveDefinitions
) -> Upload:
    """The file, waiting for a sweeper. Raises NotFound and TooMany."""
    require_list(await live.look(tx), key)
    if await list_uploads.count_open(tx, key) >= MAX_WAITING:
        raise TooMany(f"{MAX_WAITING} files of list {key} are waiting already.", retry_after=10)
    id_ = str(time_ordered_id())
    encoded = [encode_row(row) for row in rows]
    await list_uploads.insert(tx, id_=id_, key=key, rows=encoded, by=who.id, by_name=who.name)
    await audit.append(
        tx, who=who, kind="list", key=key, action="upload", after={"id": id_, "rows": len(rows)}
    )
    found = await list_uploads.read(tx, key, id_)
    assert found is not None  # noqa: S101 - it was just inserted
    return found


class FillLists:
    """Moves uploads; remembers which one it has in hand."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        topics: Topics,
        counts: PartitionCounts,
        rules: Callable[[], Rules],
    ) -> None:
        self._engine = engine
        self._topics = topics
        self._counts = counts
        self._rules = rules
        self._live = LiveDefinitions()
        self._in_hand: str | None = None

    async def advance(self, limit: int) -> int:
        """Carry out the next rows of the oldest open upload, at most `limit`; 1 if there was one.

        Raises Infrastructure when PostgreSQL or the topic is away.
        """
        async with transaction(self._engine) as tx:
            if (await outbox.backlog(tx)).frames > MOST_FRAMES:
                return 0
            upload = await list_uploads.take(tx)
            if upload is None:
                return 0
            self._in_hand = upload.id
            try:
                await self._move(tx, upload, limit)
            except NotFound as error:
                await list_uploads.fail(tx, upload.id, str(error))
        return 1

    async def give_up(self) -> None:
        """End the upload that failed again and again, so that the others have their turn."""
        if self._in_hand is not None:
            async with transaction(self._engine) as tx:
                error = "it failed again and again; the sweeper's log says why"
                await list_uploads.fail(tx, self._in_hand, error)

    async def _move(self, tx: AsyncConnection, upload: Upload, limit: int) -> None:
        page = await list_uploads.page(tx, upload, limit)
        places = [place for place, text in enumerate(page) if text != BLANK]
        rows = [decode_row(page[place]) for place in places]
        changed = await change_list(
            tx,
            upload.key,
            [Asked(row.action, row.meant) for row in rows],
            who=audit.Who(upload.uploaded_by, upload.uploaded_by_name),
            backfill=True,
            rules=self._rules(),
            live=self._live,
            topics=self._topics,
            counts=self._counts,
        )
        problems = [
            {"row": upload.examined + 1 + places[one.place], "reason": one.reason}
            for one in changed.unresolved
        ]
        await list_uploads.move(
            tx,
            upload,
            examined=len(page),
            changed=changed.added + changed.removed,
            unresolved=len(changed.unresolved),
            problems=[*upload.problems, *problems][:MAX_PROBLEMS],
            done=upload.examined + len(page) >= upload.of,
        )
