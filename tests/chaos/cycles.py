"""Kills a role at one crash point after the other, each time starting it again at once."""

import asyncio
import signal
from collections.abc import Sequence

from services.ingest.use_cases import accept_records, keep_failed_events
from services.orchestrator.use_cases import fire_timers, respond
from services.profile.use_cases import absorb_touchpoints
from shared.runtime.crash import POINTS
from tests.chaos.run import Run
from tests.support.eventually import eventually

REACHED_SECONDS = 120.0
MOST_PASSES = 2

STATELESS = (
    *("runtime.fetched", "runtime.handled", "runtime.produced"),
    *("runtime.after_commit", "runtime.mirrored"),
)
STATEFUL = tuple(point for point in POINTS if point != "runtime.produced")
SILENT = tuple(point for point in STATEFUL if not point.startswith("relay."))
"""Of a role with state that publishes nothing: its relay never has anything to do."""

POINTS_BY_ROLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("ingest", "worker"): (*STATELESS, *accept_records.CRASH_POINTS),
    ("ingest", "failures"): (*SILENT, *keep_failed_events.CRASH_POINTS),
    ("profile", "worker"): (*STATEFUL, *absorb_touchpoints.POINTS),
    ("orchestrator", "worker"): (*STATEFUL, *respond.CRASH_POINTS),
    ("orchestrator", "poller"): fire_timers.CRASH_POINTS,
}
"""Every crash point there is, by the roles that pass it."""
STEADY = (("ingest", "worker"), ("profile", "worker"), ("orchestrator", "worker"))
"""Roles of which one process is left alone, so that the next hop never runs dry."""


async def crash_everywhere(run: Run, *, passes: int = MOST_PASSES) -> dict[str, int]:
    """Kill all roles at all their points, all roles at the same time; how many kills each had.

    Afterwards one more process of each role runs on.
    """
    for service, role in STEADY:
        run.start(service, role, member=f"steady-{service}")
    kills = await asyncio.gather(
        *(
            crash_at_every(run, *role, points, passes=passes)
            for role, points in POINTS_BY_ROLE.items()
        )
    )
    return {"-".join(role): count for role, count in zip(POINTS_BY_ROLE, kills, strict=True)}


async def crash_at_every(
    run: Run, service: str, role: str, points: Sequence[str], *, passes: int
) -> int:
    """Start the role once for each point (in random order) and see it die there.

    The point kills at its first to `passes`th passing. Fails when a point is not reached. At the
    end the role runs on without a crash point.
    """
    shuffled = run.draw.sample(points, len(points))
    for point in shuffled:
        await crash_once(run, service, role, f"{point}:{run.draw.randint(1, passes)}")
    run.start(service, role, member=f"{service}-{role}")
    return len(shuffled)


async def crash_once(run: Run, service: str, role: str, where: str) -> None:
    """Start the role with this crash point and wait until it killed itself there."""
    process = run.start(service, role, member=f"{service}-{role}", CONCERT_CRASH=where)
    try:
        code = await eventually(
            process.exit_code,
            until=lambda code: code is not None,
            within=REACHED_SECONDS,
            what=f"{service} {role} dies at {where}",
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{process.log(2000)}") from None
    assert code == -signal.SIGKILL, f"{where}: exit {code}\n{process.log(4000)}"


async def freeze_once(run: Run, service: str, role: str, where: str, seconds: float) -> None:
    """Let a second process of the role freeze there, others take over, then let it come back."""
    zombie = run.start(service, role, CONCERT_PAUSE=where)
    await eventually(
        lambda: zombie.exit_code() is not None or zombie.is_frozen(),
        within=REACHED_SECONDS,
        what=f"{service} {role} freezes at {where}",
    )
    assert zombie.exit_code() is None, zombie.log(4000)
    await asyncio.sleep(seconds)
    zombie.thaw()
    await asyncio.sleep(2)
    zombie.terminate()
