"""Moves privacy requests: a task of the sweeper, one step of the oldest open request at a time.

What a step did and where the next one begins is one transaction, so a request goes on where it
stood, whoever dies. Steps that ask another service hold no locks meanwhile and may be asked twice.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.storage import privacy_exports, privacy_requests, privacy_subjects
from services.profile.storage.privacy_requests import Request
from services.profile.use_cases import erase_people, export_person
from services.profile.use_cases.export_person import Step
from services.profile.use_cases.peers import Peers
from services.profile.use_cases.privacy_receipt import receipt_of
from services.profile.use_cases.read_profile import read_profile
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from shared.errors import Gone, Infrastructure, NotFound
from shared.kafka.messages import PartitionCounts
from shared.observability import metrics
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

KIND = "privacy_request"
SOON_SECONDS, PUT_OFF_SECONDS, LATER_SECONDS = 2.0, 10.0, 60.0
"""When to ask again a service that does not answer, a step that lacked something or took too long,
and one that failed again and again."""
MEASURE_SECONDS = 5.0
NIL = "00000000-0000-0000-0000-000000000000"

POINTS = ("privacy.step_done", "privacy.step_committed", "privacy.asked")
"""Where a test may kill the sweeper."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the steps need. `known` are the topics there are; `secret` is the key of suppressed
    identifiers, None where nobody can be erased."""

    rules: Callable[[], Rules]
    topics: Topics
    counts: PartitionCounts
    peers: Peers
    secret: bytes | None
    known: Callable[[], Iterable[str]]
    export_seconds: float


class WorkPrivacy:
    """Moves requests; remembers which one it has in hand."""

    def __init__(self, engine: AsyncEngine, means: Means) -> None:
        self._engine = engine
        self._means = means
        self._in_hand: str | None = None

    async def advance(self, limit: int) -> int:
        """Do the next step of the oldest open request; 1 if there was one. A request that lacks
        something is put off. Raises Infrastructure when PostgreSQL or a topic is away."""
        try:
            return await self._next()
        except Infrastructure as error:
            if self._in_hand is None:
                raise
            logger.warning("privacy request %s is put off: %s", self._in_hand, error)
            problem = f"{error.what}: the step is tried again; the sweeper's log says why"
            await self._put_off(self._in_hand, PUT_OFF_SECONDS, problem)
        return 1

    async def _next(self) -> int:
        self._in_hand = None
        async with transaction(self._engine) as tx:
            request = await privacy_requests.take(tx)
            if request is None:
                return 0
            self._in_hand = request.id
            if request.phase not in _ASKING | export_person.ASKING:
                await self._step(tx, request)
                crash_point("privacy.step_done")
        if request.phase in _ASKING:
            await self._ask(request)
        elif request.phase in export_person.ASKING:
            await self._ask_for_export(request)
        crash_point("privacy.step_committed")
        return 1

    async def give_up(self) -> None:
        """Put the request off whose step failed again and again, so that others have their turn."""
        if self._in_hand is not None:
            problem = "a step failed again and again; the sweeper's log says why"
            await self._put_off(self._in_hand, LATER_SECONDS, problem)

    async def _put_off(self, id_: str, seconds: float, problem: str) -> None:
        async with transaction(self._engine) as tx:
            await privacy_requests.later(tx, id_, seconds=seconds, problem=problem)

    async def _step(self, tx: AsyncConnection, request: Request) -> None:
        if request.kind == "access":
            await self._export(tx, request)
        elif request.phase == "begin":
            await self._begin(tx, request)
        elif request.phase == "end":
            await self._end(tx, request)
        else:
            await self._clean(tx, request)

    async def _begin(self, tx: AsyncConnection, request: Request) -> None:
        if self._means.secret is None:
            raise Infrastructure("suppression", "CONCERT_SUPPRESSION_KEY_FILE is not set")
        done = await erase_people.begin(
            tx,
            request,
            secret=self._means.secret,
            rules=self._means.rules(),
            topics=self._means.topics,
            counts=self._means.counts,
        )
        await _audit(tx, request, "erase", {"rows": dict(done)})
        await _move(tx, request, "stragglers", done=done)

    async def _clean(self, tx: AsyncConnection, request: Request) -> None:
        """Take them out of the stores. Touchpoints of everybody come a page at a time."""
        done: Mapping[str, int]
        match request.phase:
            case "stragglers":
                done = await erase_people.stragglers(tx, request, secret=self._means.secret or b"")
                await _move(tx, request, "own", done=done)
            case "own":
                done, more = await erase_people.strip_own(tx, request)
                await _move(tx, request, "own" if more else "profiles", done=done)
            case "profiles":
                done, last = await erase_people.rename_in_profiles(tx, request)
                phase = "decided" if last is None else "profiles"
                await _move(tx, request, phase, position=last or "", done=done)
            case "decided" if await erase_people.is_awaited(tx, request):
                problem = "an event to an audience that may name them is on its way still"
                await privacy_requests.later(tx, request.id, seconds=SOON_SECONDS, problem=problem)
            case "decided":
                done = await erase_people.rename_in_decisions(tx, request, self._means.rules())
                await _move(tx, request, "touchpoints", position=NIL, done=done)
            case "touchpoints":
                done, last = await erase_people.rename_in_touchpoints(
                    tx, request, self._means.rules()
                )
                phase = "touchpoints" if last is not None else "orchestrator"
                await _move(tx, request, phase, position=last or "", done=done)
            case phase:
                raise ValueError(f"request {request.id} is in no phase: {phase}")

    async def _ask(self, request: Request) -> None:
        """Wait for the other services, one after the other; asked again soon while they do not
        confirm."""
        try:
            done, confirmed = await self._asked(request)
        except Infrastructure as error:
            done, confirmed = {}, False
            problem = str(error)
        else:
            problem = f"{request.phase} has not confirmed yet"
        crash_point("privacy.asked")
        async with transaction(self._engine) as tx:
            now = await privacy_requests.lock(tx, request.id)
            if now is None or (now.phase, now.position) != (request.phase, request.position):
                return
            if not confirmed:
                await privacy_requests.later(tx, request.id, seconds=SOON_SECONDS, problem=problem)
                return
            after = {"orchestrator": "ingest", "ingest": "end"}[request.phase]
            named = {f"{request.phase}.{store}": count for store, count in done.items()}
            await _audit(tx, request, "confirm", {"service": request.phase, "rows": dict(done)})
            await _move(tx, now, after, done=named)

    async def _asked(self, request: Request) -> tuple[dict[str, int], bool]:
        if request.phase == "orchestrator":
            done: dict[str, int] = {}
            for profile_id in request.family:
                found = await self._means.peers.forgotten(profile_id)
                if found is None:
                    return {}, False
                done = _added(done, found)
            return done, True
        async with transaction(self._engine) as tx:
            subjects = await privacy_subjects.read(tx, request.id)
        held = [
            Identifier(*one.key.split("\0", 1))
            for one in subjects
            if one.held and one.name is not None
        ]
        return dict(await self._means.peers.forget_failed(held)) if held else {}, True

    async def _end(self, tx: AsyncConnection, request: Request) -> None:
        await privacy_subjects.forget(tx, request.id)
        receipt = receipt_of(request, self._means.topics, self._means.known())
        await privacy_requests.finish(tx, request.id, receipt=receipt)
        await _audit(tx, request, "complete", {"stores": receipt["stores"]})

    async def _export(self, tx: AsyncConnection, request: Request) -> None:
        try:
            step = await export_person.write_next(tx, request, rules=self._means.rules())
        except (NotFound, Gone) as error:
            await privacy_requests.finish(tx, request.id, receipt={}, problem=error.detail)
            return
        await self._write(tx, request, step)

    async def _ask_for_export(self, request: Request) -> None:
        """Ask another service for its part of a document; asked again soon when it does not
        answer."""
        who, step, problem = request.profiles[0], None, ""
        try:
            async with transaction(self._engine) as tx:
                stored = await read_profile(tx, who)
            step = await export_person.ask_next(stored, request, self._means.peers)
        except (NotFound, Gone):
            problem = "the person is not there any more"
        except Infrastructure as error:
            if error.what == "postgres":
                raise
            problem = str(error)
        async with transaction(self._engine) as tx:
            now = await privacy_requests.lock(tx, request.id)
            if now is None or (now.phase, now.position) != (request.phase, request.position):
                return
            try:
                await read_profile(tx, who)
            except (NotFound, Gone) as error:
                await privacy_requests.finish(tx, request.id, receipt={}, problem=error.detail)
                return
            if step is None:
                await privacy_requests.later(tx, request.id, seconds=SOON_SECONDS, problem=problem)
            else:
                await self._write(tx, now, step)

    async def _write(self, tx: AsyncConnection, request: Request, step: Step) -> None:
        """Go on with the document, and end it behind its last piece."""
        await privacy_exports.add(tx, request.id, step.body)
        counts = _added(request.counts, step.counts)
        if step.phase is not None:
            await privacy_requests.move(
                tx, request.id, phase=step.phase, position=step.position, counts=counts
            )
            return
        await privacy_requests.finish(
            tx,
            request.id,
            receipt={"stores": counts, "hours": self._means.export_seconds / 3600},
            seconds=self._means.export_seconds,
        )
        await _audit(tx, request, "complete", {"stores": counts})


_ASKING = frozenset({"orchestrator", "ingest"})


async def measure(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Show how many requests are open and how old the oldest is, until told to stop."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                open_, oldest = await privacy_requests.open_requests(tx)
                metrics.PRIVACY_REQUESTS_OPEN.set(open_)
                metrics.PRIVACY_OLDEST_SECONDS.set(oldest)
        except Infrastructure as error:
            logger.warning("privacy requests could not be counted: %s", error)
        await wait(stopping, MEASURE_SECONDS)


def _added(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    names = [*before, *(name for name in more if name not in before)]
    return {name: before.get(name, 0) + more.get(name, 0) for name in names}


async def _move(
    tx: AsyncConnection,
    request: Request,
    phase: str,
    *,
    position: str = "",
    done: Mapping[str, int],
) -> None:
    counts = _added(request.counts, done)
    await privacy_requests.move(tx, request.id, phase=phase, position=position, counts=counts)


async def _audit(
    tx: AsyncConnection, request: Request, action: str, after: Mapping[str, Any]
) -> None:
    """Who asked is who did it; what was erased is never written."""
    who = Who(request.requested_by, request.requested_by_name)
    await audit.append(tx, who=who, kind=KIND, key=request.id, action=action, after=dict(after))
