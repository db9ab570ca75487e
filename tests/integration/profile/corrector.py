"""What people decide about identity, on a test's database, without HTTP."""

from collections.abc import Sequence

from services.profile.storage import profiles
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.merge_by_hand import MergedByHand, merge_by_hand
from services.profile.use_cases.split_profile import split_profile
from services.profile.use_cases.undo_merge import Divided, undo_merge
from shared.contracts.topics import Topics
from shared.postgres import audit
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker

WHO = audit.Who("t", "tester")


class Corrector:
    """Merges, undoes and splits, one transaction each; everything raises as the use cases do."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.engine = worker.engine
        self.live = LiveDefinitions()

    async def merge(self, *ids: str) -> MergedByHand:
        """Two profiles become one."""
        async with transaction(self.engine) as tx:
            return await merge_by_hand(
                tx,
                ids,
                why="test",
                who=WHO,
                may_replace=lambda _: None,
                rules=self.worker.rules,
                live=self.live,
                topics=Topics(),
                counts=self.worker.counts,
            )

    async def undo(self, merge_id: str) -> Divided:
        """The merge never was."""
        async with transaction(self.engine) as tx:
            return await undo_merge(
                tx,
                merge_id,
                why="test",
                who=WHO,
                may_replace=lambda _: None,
                rules=self.worker.rules,
                live=self.live,
                topics=Topics(),
                counts=self.worker.counts,
            )

    async def split(self, profile_id: str, keys: Sequence[str]) -> Divided:
        """These identifiers (`type NUL value`) get a profile of their own."""
        async with transaction(self.engine) as tx:
            return await split_profile(
                tx,
                profile_id,
                keys,
                dry_run=False,
                why="test",
                who=WHO,
                may_replace=lambda _: None,
                rules=self.worker.rules,
                live=self.live,
                topics=Topics(),
                counts=self.worker.counts,
            )

    async def open_merges(self) -> list[str]:
        """The merges that can be undone now, the latest first."""
        found = await self.worker.rows(
            "SELECT m.id::text FROM merge m JOIN profile w ON w.id = m.winner "
            "WHERE m.undone_at IS NULL AND w.status = 'active' ORDER BY m.at DESC, m.id"
        )
        return [row[0] for row in found]

    async def owner(self, type_: str, value: str) -> str:
        """The profile that has an identifier."""
        for one in await self.worker.active():
            if any((own.type, own.value) == (type_, value) for own in one.identifiers):
                return one.id
        raise AssertionError(f"nobody has {type_} {value}")

    async def current(self, profile_id: str) -> str:
        """The active profile that an id stands for."""
        async with transaction(self.engine) as tx:
            return (await profiles.current(tx, [profile_id]))[profile_id]
