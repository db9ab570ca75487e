"""The life of one process: start, run its tasks side by side, drain on a signal, exit.

The first SIGTERM or SIGINT stops fetching, finishes what was begun and gives leases back, within
one shared deadline; the second ends the process at once. A task that dies takes the process with
it, so that the supervisor starts a clean one.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvloop

from shared.errors import Misconfigured
from shared.observability import logging as json_logging
from shared.observability import metrics
from shared.observability.health import Health
from shared.observability.metrics_server import serve_metrics
from shared.settings import Settings

logger = logging.getLogger(__name__)

VERSION = "0.1.0"
FAILED, MISCONFIGURED = 70, 78

Task = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""Runs until the event is set, then finishes what it began and returns."""


@dataclass(slots=True)
class Role:
    """What a process runs. The tasks of a stage stop together, and before the next stage's."""

    health: Health
    stages: list[Mapping[str, Task]]
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def run_role(
    settings: Settings, *, service: str, role: str, build: Callable[[], Awaitable[Role]]
) -> int:
    """Run the role until a signal; returns the exit status (0 after a clean drain)."""
    name = f"{service}-{role}"
    json_logging.configure(name, settings.log_level)
    metrics.start(service, role, VERSION, settings.topic_prefix)
    try:
        return uvloop.run(_run(settings, name, build))
    except Misconfigured as error:
        for problem in error.problems:
            logger.critical("cannot start: %s", problem)
        return MISCONFIGURED


async def _run(settings: Settings, name: str, build: Callable[[], Awaitable[Role]]) -> int:
    signalled = asyncio.Event()
    _handle_signals(signalled)
    role = await build()
    _collect_garbage_seldom()
    async with serve_metrics(role.health, settings.host, settings.metrics_port) as port:
        logger.info("%s started, metrics on port %d", name, port)
        status = await _serve(role, signalled, settings.drain_seconds)
        for close in reversed(role.closing):
            await close()
    logger.info("%s stopped", name)
    return status


def _collect_garbage_seldom() -> None:
    """Leave what was built for good out of every collection, and look through the rest less often.

    A batch makes many small objects and drops them by reference count; looking for cycles among
    them at Python's defaults took 7 % of a worker's CPU (docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _serve(role: Role, signalled: asyncio.Event, drain_seconds: float) -> int:
    """Run all stages, and stop them one after the other when signalled or when a task dies."""
    events = [asyncio.Event() for _ in role.stages]
    running = [
        {asyncio.create_task(_named(task, stop), name=name) for name, task in stage.items()}
        for stage, stop in zip(role.stages, events, strict=True)
    ]
    everything = {task for stage in running for task in stage}
    watcher = asyncio.create_task(signalled.wait(), name="signals")
    await asyncio.wait({watcher, *everything}, return_when=asyncio.FIRST_COMPLETED)
    watcher.cancel()
    role.health.hold("draining", "the process is stopping")
    ended = {task for task in everything if task.done()}
    failed = _failures(ended)
    deadline = asyncio.get_running_loop().time() + drain_seconds
    for stop, stage in zip(events, running, strict=True):
        stop.set()
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        done, late = await asyncio.wait(stage, timeout=left)
        failed += _failures(done - ended)
        for task in late:
            logger.error("%s did not stop in time", task.get_name())
            task.cancel()
        failed += len(late)
    return FAILED if failed else 0


async def _named(task: Task, stop: asyncio.Event) -> None:
    await task(stop)
    if not stop.is_set():
        raise RuntimeError("a task ended before it was told to")


def _failures(tasks: set[asyncio.Task[None]]) -> int:
    failed = 0
    for task in tasks:
        error = task.exception()
        if error is not None:
            failed += 1
            logger.critical("%s failed", task.get_name(), exc_info=error)
    return failed


def _handle_signals(signalled: asyncio.Event) -> None:
    def on_signal() -> None:
        if signalled.is_set():
            os._exit(FAILED)
        signalled.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
