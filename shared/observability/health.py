"""Whether this process is alive and whether it can do its work, with the reason when it cannot.

Readiness asks the named checks, at most once a second for all who want to know, each with a time
limit; so it turns false within four seconds of losing Kafka or PostgreSQL and true again by
itself. Other parts may hold readiness back (`hold`), as for a stopped partition.
Liveness is only this: the event loop answers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared import clock
from shared.observability.masking import clean
from shared.observability.metrics import READY

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]
"""Returns when the thing works; raises anything when it does not."""

REFRESH_SECONDS = 1.0
CHECK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """The state of each check and hold: `ok`, or why not."""

    checks: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return all(state == "ok" for state in self.checks.values())

    def body(self, role: str) -> dict[str, object]:
        """What `/readyz` answers."""
        status = "ready" if self.ready else "not_ready"
        return {"status": status, "role": role, "checks": dict(self.checks)}


class Health:
    """The health of one process; its metrics port and its API port share it."""

    def __init__(
        self,
        role: str,
        checks: Mapping[str, Check],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self.role = role
        self._checks = dict(checks)
        self._refresh_seconds = refresh_seconds
        self._check_seconds = check_seconds
        self._holds: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    def hold(self, name: str, reason: str) -> None:
        """Not ready until `release(name)`, whatever the checks say."""
        self._holds[name] = clean(reason)

    def release(self, name: str) -> None:
        """Take back a `hold`; without one it does nothing."""
        self._holds.pop(name, None)

    async def readiness(self) -> Readiness:
        """The present state, at most `refresh_seconds` old."""
        async with self._asking:
            if self._asked_at is None or self._age() >= self._refresh_seconds:
                names = list(self._checks)
                answers = await asyncio.gather(*(self._ask(name) for name in names))
                self._note(dict(zip(names, answers, strict=True)))
        current = Readiness({**self._states, **self._holds})
        READY.set(current.ready)
        return current

    def _age(self) -> float:
        return clock.monotonic_seconds() - (self._asked_at or 0.0)

    async def _ask(self, name: str) -> str:
        """`ok` or the reason. Whatever a check raises means the same: this does not work now."""
        try:
            async with asyncio.timeout(self._check_seconds):
                await self._checks[name]()
        except TimeoutError:
            return f"no answer within {self._check_seconds:g} s"
        except Exception as error:  # noqa: BLE001 - the reason is the answer
            return clean(f"{type(error).__name__}: {error}")[:300]
        return "ok"

    def _note(self, states: dict[str, str]) -> None:
        for name, state in states.items():
            before = self._states.get(name, "ok")
            if (state == "ok") != (before == "ok"):
                report = logger.info if state == "ok" else logger.warning
                report("readiness changed", extra={"check": name, "state": state})
        self._states = states
        self._asked_at = clock.monotonic_seconds()
