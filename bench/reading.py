"""Asks the profile API about a population and takes the time: reads, searches, previews."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from bench.population import CITIES, Buyers, person
from services.profile.domain.search import fold

CONNECTIONS = 2
WARM = 50
"""So many requests of each kind are not counted."""
PREVIEWS = 3
BATCH = 100

Cpu = Callable[[], dict[str, float]]
"""CPU time so far, in seconds, by process."""
Ask = Callable[[random.Random], tuple[str, dict[str, Any] | None]]
"""A URL, and the body if it is a POST."""


@dataclass(frozen=True, slots=True)
class ReadRun:
    """Answering times of one kind of request, in milliseconds; `budget` is of the 99th percentile:
    what it must be, and what is aimed for. `cpu` is in seconds a request, by process."""

    name: str
    milliseconds: list[float]
    seconds: float
    budget: tuple[float, float] | None
    cpu: dict[str, float]

    def percentile(self, share: float) -> float:
        """The answering time that this share of requests did not exceed."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """A preview: the longest of a few, what it counted and what there is."""

    name: str
    seconds: float
    count: int
    exact: bool
    truth: int


READ = (50.0, 10.0)


async def measure_reads(
    masked: httpx.AsyncClient,
    clear: httpx.AsyncClient,
    *,
    people: int,
    requests: int,
    cpu: Cpu,
) -> list[ReadRun]:
    """Every kind of read. `masked` shows the token of a viewer; `clear` one that may see personal
    data, so each of its answers is an entry of the audit log."""

    def anybody(chance: random.Random) -> Any:
        return person(chance.randrange(people))

    def of(url: Callable[[Any], str]) -> Ask:
        return lambda chance: (url(anybody(chance)), None)

    def batch(chance: random.Random) -> tuple[str, dict[str, Any]]:
        ids = [anybody(chance).profile_id for _ in range(BATCH)]
        return "/v1/profiles:batch-get", {"ids": ids}

    def found(word: Callable[[Any, random.Random], str]) -> Ask:
        def ask(chance: random.Random) -> tuple[str, None]:
            return f"/v1/profiles:search?q={quote(word(anybody(chance), chance))}&limit=20", None

        return ask

    kinds: list[tuple[str, httpx.AsyncClient, Ask, tuple[float, float] | None]] = [
        ("profile by id", masked, of(lambda one: f"/v1/profiles/{one.profile_id}"), READ),
        (
            "profile by id, in clear, with its audit entry",
            clear,
            of(lambda one: f"/v1/profiles/{one.profile_id}"),
            READ,
        ),
        (
            "profile by e-mail address",
            masked,
            of(lambda one: f"/v1/profiles/by/email/{quote(one.email)}"),
            READ,
        ),
        ("search, whole identifier", masked, found(lambda one, _: one.email), READ),
        (
            "search, beginning of an identifier, in clear",
            clear,
            found(lambda one, chance: one.email[: chance.randint(2, 9)]),
            READ,
        ),
        (
            "search, beginning of a name, in clear",
            clear,
            found(
                lambda one, chance: fold(f"{one.last_name} {one.first_name}")[
                    : chance.randint(2, 12)
                ]
            ),
            READ,
        ),
        ("timeline", masked, of(lambda one: f"/v1/profiles/{one.profile_id}/timeline"), READ),
        (f"{BATCH} profiles at once", masked, batch, None),
    ]
    return [
        await _run(name, client, ask, requests if budget else requests // 10, budget, cpu)
        for name, client, ask, budget in kinds
    ]


async def measure_previews(client: httpx.AsyncClient, buyers: Buyers) -> list[PreviewRun]:
    """How long a preview takes, and whether its count is the truth."""
    ordered = {"attr": "profile.computed.orders", "op": "gte", "value": 1}
    in_city = {"attr": "profile.city", "op": "eq", "value": CITIES[0]}
    event: dict[str, Any] = {"event": "Order Completed", "count": {"gte": 1}}
    conditions: Sequence[tuple[str, dict[str, Any], int]] = (
        ("a trait and a sum", {"all": [in_city, ordered]}, buyers.in_city),
        ("a sum", ordered, buyers.anywhere),
        ("an event that nobody counts yet", event, buyers.anywhere),
    )
    runs = []
    for name, condition, truth in conditions:
        taken, answer = [], {}
        for _ in range(PREVIEWS):
            begun = time.perf_counter()
            response = await client.post("/v1/segments:preview", json={"condition": condition})
            taken.append(time.perf_counter() - begun)
            response.raise_for_status()
            answer = response.json()
        runs.append(PreviewRun(name, max(taken), answer["count"], answer["exact"], truth))
    return runs


async def _run(
    name: str,
    client: httpx.AsyncClient,
    ask: Ask,
    requests: int,
    budget: tuple[float, float] | None,
    cpu: Cpu,
) -> ReadRun:
    """Send from two connections, each waiting for its answer."""
    taken: list[float] = []
    since, before = time.perf_counter(), cpu()

    async def connection(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a load, no secret
        for number in range(-WARM, requests // CONNECTIONS):
            url, body = ask(chance)
            begun = time.perf_counter()
            answer = await (client.get(url) if body is None else client.post(url, json=body))
            if number >= 0:
                taken.append((time.perf_counter() - begun) * 1000)
            answer.raise_for_status()
            found = answer.json()
            if not (found["items"] if "items" in found else found["id"]):
                raise RuntimeError(f"{name}: nobody was found")

    await asyncio.gather(*(connection(seed) for seed in range(CONNECTIONS)))
    seconds, asked = time.perf_counter() - since, len(taken) + CONNECTIONS * WARM
    used = {one: (after - before[one]) / asked for one, after in cpu().items()}
    return ReadRun(name, taken, seconds, budget, used)
