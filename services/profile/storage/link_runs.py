"""The batches that look for links: asked for, claimed by one process, told how far they are.

A claim lasts CLAIM_SECONDS of real time unless it is kept; each claim has a number (`attempt`), by
which a process that lost it is kept from writing.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CLAIM_SECONDS = 30
MAX_ATTEMPTS = 5

_COLUMNS = """id, status, threshold, requested_by, requested_by_name, requested_at, started_at,
              finished_at, phase, profiles, pairs, suggestions, problem, attempt"""


class LinkRun(NamedTuple):
    """One batch. `profiles` were read, `pairs` are in its blocks, `suggestions` were found."""

    id: int
    status: str
    threshold: float
    requested_by: str
    requested_by_name: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    phase: str | None
    profiles: int
    pairs: int
    suggestions: int
    problem: str | None
    attempt: int


_REQUEST = text(
    f"""
    INSERT INTO link_run (threshold, requested_by, requested_by_name, requested_at)
    VALUES (:threshold, :who, :who_name, (SELECT clock.now()))
    ON CONFLICT DO NOTHING
    RETURNING {_COLUMNS}
    """  # noqa: S608 - names of ours
)


async def request(
    tx: AsyncConnection, *, threshold: float, who: str, who_name: str
) -> LinkRun | None:
    """Ask for a batch; None while another one waits or runs."""
    row = (
        await tx.execute(_REQUEST, {"threshold": threshold, "who": who, "who_name": who_name})
    ).one_or_none()
    return None if row is None else LinkRun(*row)


_LATEST = text(f"SELECT {_COLUMNS} FROM link_run ORDER BY id DESC LIMIT 1")  # noqa: S608 - ours


async def latest(tx: AsyncConnection) -> LinkRun | None:
    """The batch that was asked for last."""
    row = (await tx.execute(_LATEST)).one_or_none()
    return None if row is None else LinkRun(*row)


_CLAIM = text(
    f"""
    UPDATE link_run
       SET status = 'running', member = :member, attempt = attempt + 1, phase = 'reading',
           profiles = 0, pairs = 0, suggestions = 0,
           started_at = coalesce(started_at, (SELECT clock.now())),
           claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
     WHERE id = (
           SELECT id FROM link_run
            WHERE status = 'queued'
               OR status = 'running' AND (claimed_until < clock_timestamp() OR member = :member)
            ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
    """  # noqa: S608 - names of ours
)


async def claim(tx: AsyncConnection, member: str) -> LinkRun | None:
    """The batch that waits, or whose process fell silent or was this one before it ended."""
    row = (await tx.execute(_CLAIM, {"member": member})).one_or_none()
    return None if row is None else LinkRun(*row)


_KEEP = text(
    f"""
    UPDATE link_run
       SET phase = :phase, profiles = :profiles, pairs = :pairs, suggestions = :suggestions,
           claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """  # noqa: S608 - a number of ours
)


async def keep(
    tx: AsyncConnection, run: LinkRun, *, phase: str, profiles: int, pairs: int, suggestions: int
) -> bool:
    """Keep the claim and tell how far the batch is; False if it is another's by now.

    The row stays locked until the transaction ends, so what is written in it is written once.
    """
    result = await tx.execute(
        _KEEP,
        {
            "id": run.id,
            "attempt": run.attempt,
            "phase": phase,
            "profiles": profiles,
            "pairs": pairs,
            "suggestions": suggestions,
        },
    )
    return result.rowcount == 1


_END = text(
    """
    UPDATE link_run
       SET status = :status, problem = :problem, phase = NULL, claimed_until = NULL,
           finished_at = (SELECT clock.now())
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """
)


async def end(tx: AsyncConnection, run: LinkRun, *, problem: str | None = None) -> None:
    """The batch is completed, or failed with a problem; nothing if it is another's by now."""
    status = "completed" if problem is None else "failed"
    await tx.execute(
        _END, {"id": run.id, "attempt": run.attempt, "status": status, "problem": problem}
    )


_GIVE_BACK = text(
    """
    UPDATE link_run SET status = 'queued', phase = NULL, claimed_until = NULL
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """
)


async def give_back(tx: AsyncConnection, run: LinkRun) -> None:
    """Let another process begin it anew at once: this one is told to stop."""
    await tx.execute(_GIVE_BACK, {"id": run.id, "attempt": run.attempt})
