"""No crash point is forgotten: what the code names is what the chaos tests kill at."""

import re
from pathlib import Path

from services.ingest.load.load import CRASH_POINTS
from services.orchestrator.use_cases import (
    close_batch,
    deliver_channel,
    fire_schedules,
    respond,
    sweep_runs,
)
from services.orchestrator.use_cases.rehearsal import rehearser
from services.profile.use_cases import (
    backfill_definitions,
    fan_out,
    find_links,
    sweep_deadlines,
    work_privacy,
)
from tests.chaos.cycles import POINTS_BY_ROLE

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"""crash_point\(\s*["']([\w.]+)["']""")

ELSEWHERE = {
    *(*CRASH_POINTS, *fan_out.CRASH_POINTS, *find_links.POINTS),
    *(*backfill_definitions.CRASH_POINTS, *sweep_deadlines.CRASH_POINTS),
    *(*work_privacy.POINTS, *respond.ERASURE_POINTS),
    *(*deliver_channel.CRASH_POINTS, *close_batch.CRASH_POINTS),
    *(*fire_schedules.SCHEDULE_POINTS, *sweep_runs.CRASH_POINTS, *rehearser.POINTS),
}
"""The loader is no role, and the linker works only when it is asked: tests/integration
(test_load.py, test_linker_process.py) kills them at each. No event of the flow has an audience;
tests/acceptance/test_audience.py kills the sweeper at each. Nor has the flow segments;
test_sweeper.py kills it at each of theirs. Nobody in the flow asks to be erased;
tests/acceptance/test_erasure.py kills at those points. No channel of the flow has a connector:
tests/integration/orchestrator (test_deliver_process.py, test_deliver_file.py) ends it at those. Nor
has the flow a schedule or a journey; test_schedules.py and test_runs.py beside them end one at its
point. Nothing in it is rehearsed; test_rehearse_process.py beside them kills that role at each of
its own."""


def test_every_point_in_the_code_is_killed_at() -> None:
    named = {
        point
        for folder in ("shared", "services")
        for path in (ROOT / folder).rglob("*.py")
        for point in CALL.findall(path.read_text())
    }
    assert named
    assert named - ELSEWHERE == {point for points in POINTS_BY_ROLE.values() for point in points}
    assert named > ELSEWHERE
