"""How tests are dealt out to workers that run side by side (`pytest -n`).

A worker gets whole modules, or whole folders where modules share what is slow to start; the long
ones first, so that no worker is left with one of them at the end; those that measure time last,
to one worker when the others and their servers are gone. Each worker has servers of its own.
Without `-n` nothing here is used.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SHARING = ("tests/acceptance/scenarios", "tests/e2e", "tests/acceptance")
"""Folders whose modules use one running Concert."""
APART = (
    "tests/acceptance/test_outage.py",
    "tests/acceptance/test_cdnow.py",
    "tests/acceptance/test_erasure.py",
    "tests/acceptance/test_audience.py",
    "tests/acceptance/test_readiness.py",
    "tests/acceptance/test_retraction.py",
)
"""But these take so long, or are alone, that one more start does not count."""
LONG = (
    "tests/acceptance/scenarios",
    "tests/acceptance/test_outage.py",
    "tests/chaos/test_every_point.py",
    "tests/acceptance",
    "tests/acceptance/test_cdnow.py",
    "tests/acceptance/test_erasure.py",
    "tests/e2e",
    "tests/chaos/test_sharing.py",
    "tests/acceptance/test_audience.py",
    "tests/acceptance/test_readiness.py",
    "tests/integration/test_local_stack_life.py",
    "tests/chaos/test_sweeper.py",
    "tests/integration/profile/test_stored_consents.py",
    "tests/integration/ingest/test_load.py",
    "tests/integration/ingest/test_counters.py",
    "tests/chaos/test_relay_owner.py",
    "tests/integration/profile/test_febrl.py",
)
"""What takes longest, in that order."""
ALONE = (
    "tests/acceptance/test_retraction.py",
    "tests/integration/ingest/test_hostile_clients.py",
    "tests/integration/ingest/test_tracking_plan.py",
    "tests/integration/profile/test_storm.py",
    "tests/integration/profile_api/test_scale.py",
    "tests/unit/conditions/test_index.py",
)
"""What asserts how long something takes, and must have nothing beside it."""


class Dealing(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out parts as they come in the collection."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        super().mark_test_complete(node, item_index, duration)
        if self._only_alone_is_left():
            for other in self.nodes:
                self._reschedule(other)

    def _reschedule(self, node: WorkerController) -> None:
        others = [one for one in self.nodes if one is not node]
        if not self._only_alone_is_left():
            super()._reschedule(node)
        elif not all(one.shutting_down for one in others):
            node.shutdown()  # after what it has
        elif not any(self._pending_of(self.assigned_work[one]) for one in others):
            super()._reschedule(node)

    def _only_alone_is_left(self) -> bool:
        return bool(self.workqueue) and next(iter(self.workqueue)) in ALONE


def part_of(nodeid: str) -> str:
    """What a test is dealt out with: its folder or its module."""
    module = nodeid.partition("::")[0]
    if module in APART:
        return module
    return next((folder for folder in SHARING if module.startswith(f"{folder}/")), module)


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort a collection: the parts of LONG come first, those of ALONE last, others as they came."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    part = part_of(item.nodeid)
    if part in ALONE:
        return len(LONG) + 1 + ALONE.index(part)
    return LONG.index(part) if part in LONG else len(LONG)
