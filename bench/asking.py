"""How fast `POST /v1/decide` answers at a paced load, beside an endpoint that only reads the body.

`python -m bench.asking` runs this part alone and prints it.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import uvloop

from bench import machine, population
from bench.collecting import bare_endpoint
from bench.load import RULES, rule_key
from bench.pipeline import publish_bench_rules
from bench.population import CITIES, person
from bench.stage import Stage, running_stage
from deploy.local.ports import HOST
from deploy.local.progress import Progress

PEOPLE = 10_000
ASKED_RULES = 10
RATE = 200.0
SECONDS = 30.0
WARM_SECONDS = 3.0
CONNECTIONS = 32
CHANNELS = ("kiosk", "app", "web", "pos")
POLICY = {
    "caps": [
        {"scope": {"category": "marketing"}, "limit": 3, "window": "P7D", "kind": "rolling"},
        {"scope": {"category": "service"}, "limit": 20, "window": "P1D", "kind": "rolling"},
    ]
}


@dataclass(frozen=True, slots=True)
class AskRun:
    """Latencies in milliseconds, from when a request was due to when its answer was read; those of
    answers that were kept apart. CPU is in seconds, by process; `persons` counts how the people
    were known. `stolen` is the share of all cores' time that the host gave to others."""

    name: str
    rate: float
    seconds: float
    milliseconds: list[float]
    kept: list[float]
    actions: int
    persons: dict[str, int]
    cpu: dict[str, float]
    stolen: float

    @property
    def requests(self) -> int:
        """So many were answered."""
        return len(self.milliseconds) + len(self.kept)

    def percentile(self, share: float) -> float:
        """The latency that this share of all answers did not exceed."""
        return _percentile(self.milliseconds + self.kept, share)

    def cpu_ms(self, name: str) -> float:
        """What a request cost a process, in milliseconds."""
        return self.cpu[name] / self.requests * 1000

    def percentile_of_new(self, share: float) -> float:
        """The same of the answers that had to be decided."""
        return _percentile(self.milliseconds, share)


def _percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def run_asking(stage: Stage, seconds: float = SECONDS) -> list[AskRun]:
    """The bare endpoint and decide, both paced; the event rules of the benchmark are published."""
    url = stage.deployment.service_urls["profile"]
    await population.load(url, 0, PEOPLE)
    await population.settle(url)
    for service, name in (
        ("profile", "api"), ("orchestrator", "api"), ("orchestrator", "worker"),
        ("orchestrator", "poller"),
    ):  # fmt: skip
        await stage.start_ready(service, name)
    await _publish(stage)
    asks = _requests(stage, round(RATE * (seconds + WARM_SECONDS)))
    port = stage.ports.base + 3
    async with bare_endpoint(port + 500) as (bare_port, bare_pid):
        bare = await _load("bare endpoint", asks, bare_port, seconds, {"bare endpoint": bare_pid})
    runs = [bare, await _load("decide", asks, port, seconds, stage.pids)]
    stage.stop_roles()
    return runs


async def _publish(stage: Stage) -> None:
    """Ten rules that are asked, in place of ten that listen to events; and two caps."""
    headers = {"Authorization": f"Bearer {stage.admin_token}"}
    base = f"http://{HOST}:{stage.ports.base + 3}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as api:
        for number in range(ASKED_RULES):
            old = f"/v1/rules/{rule_key(RULES - 1 - number)}:archive"
            (await api.post(old, json={})).raise_for_status()
            await _put(api, f"/v1/rules/asked-{number}", _rule(number))
        await _put(api, "/v1/contact-policies/default", POLICY)
        await asyncio.sleep(2)


async def _put(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    (await api.put(path, json=body)).raise_for_status()
    (await api.post(f"{path}:publish", json={})).raise_for_status()


def _rule(number: int) -> dict[str, Any]:
    """Two of ten are marketing, to which nobody agreed; each has an action on two channels."""
    channels = (CHANNELS[number % 4], CHANNELS[(number + 1) % 4])
    text = "{{ profile.first_name }}, offer " + str(number) + " for {{ profile.city }}."
    return {
        "category": "marketing" if number < 2 else "service",
        "trigger": {
            "type": "api",
            "where": {"attr": "context.intent", "op": "ne", "value": f"no-{number}"},
        },
        "engagement_policy": {
            "eligibility": {"attr": "profile.score", "op": "gte", "value": number * 5},
            "applicability": {"attr": "profile.country", "op": "eq", "value": "FR"},
            "suitability": {
                "not": {"all": [
                    {"attr": "profile.city", "op": "eq", "value": CITIES[number % len(CITIES)]},
                    {"attr": "profile.computed.orders", "op": "gte", "value": 5},
                ]}
            },
        },
        "score": {
            "value": 10.0 + number,
            "context": [{
                "when": {"attr": "context.intent", "op": "eq", "value": "checkout"}, "weight": 50,
            }],
        },
        "actions": [
            {"type": "prompt", "channel": channel, "content": {"text": text}}
            for channel in channels
        ],
    }  # fmt: skip


def _requests(stage: Stage, count: int) -> list[bytes]:
    """Whole HTTP requests: anybody, on any channel, for one slot."""
    draw = random.Random(7)  # noqa: S311 - a load, no secret
    made = []
    for _ in range(count):
        body = orjson.dumps(
            {
                "identifier": {"type": "user_id", "value": person(draw.randrange(PEOPLE)).user_id},
                "channel": draw.choice(CHANNELS),
                "slot": "home",
                "context": {"intent": draw.choice(("browse", "checkout")), "store": "s-12"},
            }
        )
        head = (
            f"POST /v1/decide HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: Bearer {stage.admin_token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _load(
    name: str, requests: Sequence[bytes], port: int, seconds: float, pids: dict[str, int]
) -> AskRun:
    """Send at RATE whatever the answers do; what waits for a free connection counts as latency."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(HOST, port))
    taken: dict[bool, list[float]] = {True: [], False: []}
    persons: Counter[str] = Counter()
    actions = 0
    begun = time.perf_counter()
    warm = begun + WARM_SECONDS

    async def one(request: bytes, due: float) -> None:
        nonlocal actions
        reader, writer = connection = await free.get()
        writer.write(request)
        answer = await _answer(reader)
        late = (time.perf_counter() - due) * 1000
        free.put_nowait(connection)
        if due >= warm:
            taken[bool(answer.get("kept"))].append(late)
            persons[answer.get("person", "none")] += 1
            actions += answer.get("action") is not None

    tasks: list[asyncio.Task[None]] = []
    before: dict[str, float] = {}
    stolen = 0.0
    for number, request in enumerate(requests[: round(RATE * (seconds + WARM_SECONDS))]):
        due = begun + number / RATE
        await asyncio.sleep(due - time.perf_counter())
        if not before and due >= warm:
            before, stolen = machine.cpu_seconds(pids), machine.stolen_seconds()
        tasks.append(asyncio.create_task(one(request, due)))
    await asyncio.gather(*tasks)
    after = machine.cpu_seconds(pids)
    stolen = (machine.stolen_seconds() - stolen) / machine.cores() / seconds
    while not free.empty():
        free.get_nowait()[1].close()
    return AskRun(
        name=name,
        rate=RATE,
        seconds=seconds,
        milliseconds=taken[False],
        kept=taken[True],
        actions=actions,
        persons=dict(persons),
        cpu={key: after[key] - before[key] for key in after},
        stolen=stolen,
    )


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Read one answer. Raises RuntimeError unless it is 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    body = await reader.readexactly(length)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the answer was {head[:40]!r} {body[:300]!r}")
    answer: dict[str, Any] = orjson.loads(body)
    return answer


def summary(runs: Sequence[AskRun]) -> str:
    """A line for each."""
    return "\n".join(
        f"{run.name} at {run.rate:.0f}/s: p50 {run.percentile(0.5):.1f} ms, "
        f"p99 {run.percentile(0.99):.1f} ms, longest {run.percentile(1):.1f} ms; "
        f"{len(run.kept)} of {run.requests} were kept, {run.actions} actions, {run.persons}, "
        f"stolen {run.stolen:.1%}; CPU a request: "
        + ", ".join(f"{name} {run.cpu_ms(name):.2f} ms" for name in run.cpu)
        for run in runs
    )


def main() -> int:
    """This part alone."""
    with running_stage(Progress()) as stage:
        uvloop.run(publish_bench_rules(stage))
        runs = uvloop.run(run_asking(stage, float(sys.argv[1]) if sys.argv[1:] else SECONDS))
    print(summary(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
