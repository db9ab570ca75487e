"""Decisions and actions over HTTP: by id, by person across merges, by touchpoint, in pages."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from shared.contracts.action import Action, action_encoder
from shared.contracts.decision import (
    Candidate,
    CandidateDetail,
    CandidateScore,
    Decision,
    decision_encoder,
)
from shared.contracts.times import rfc3339
from shared.contracts.touchpoint import Identifier
from tests.support.api import calling, crafted_cursors

START = datetime(2026, 11, 21, 10, tzinfo=UTC)
PRESENT, OLD, OLDEST, OTHER = (UUID(int=n) for n in (11, 12, 13, 14))
"""OLDEST was merged into OLD, OLD into PRESENT: into the smaller id. OTHER is somebody else."""


def uid(kind: int, number: int) -> UUID:
    return UUID(int=kind << 64 | number)


def decision(number: int, profile: UUID) -> Decision:
    return Decision(
        id=str(uid(1, number)),
        profile_id=str(profile),
        profile_version=number,
        touchpoint_id=str(uid(2, number // 2)),
        at=rfc3339(START + timedelta(minutes=number // 2)),
        candidates=[
            Candidate(
                rule="welcome",
                version=1,
                stage="eligibility",
                passed=False,
                reason="eligibility",
                detail=CandidateDetail(condition="email is x", expected="x", actual="ada@b.c"),
            ),
            Candidate(
                rule="thanks",
                version=2,
                stage="chosen",
                passed=True,
                reason="chosen",
                score=CandidateScore(p=1, c=1, v=2, l=1, cost=0, total=2),
            ),
        ],
        outcome="sent",
        action_ids=[str(uid(3, number))],
        retracts=[],
        versions={"rule:thanks": 2},
        sentence="Sent thanks.",
    )


@pytest.fixture(scope="module")
async def decided(engine: AsyncEngine) -> Sequence[Decision]:
    """Eight decisions: of the person under each of her ids, and two of somebody else."""
    owners = [OLDEST, OLDEST, OLD, OLD, PRESENT, PRESENT, OTHER, OTHER]
    made = [decision(number, owner) for number, owner in enumerate(owners)]
    async with engine.begin() as tx:
        for profile, into in [(OLDEST, OLD), (OLD, PRESENT), (PRESENT, None), (OTHER, None)]:
            await tx.execute(
                text(
                    "INSERT INTO profile_state (profile_id, last_seq, merged_into) "
                    "VALUES (:profile, 1, :into)"
                ),
                {"profile": profile, "into": into},
            )
        for number, one in enumerate(made):
            await tx.execute(
                text(
                    "INSERT INTO decision (id, profile_id, touchpoint_id, at, body) "
                    "VALUES (:id, :profile_id, :touchpoint_id, :at, :body)"
                ),
                {
                    "id": UUID(one.id),
                    "profile_id": UUID(one.profile_id),
                    "touchpoint_id": UUID(one.touchpoint_id or ""),
                    "at": datetime.fromisoformat(one.at),
                    "body": decision_encoder.encode(one),
                },
            )
            await tx.execute(
                text(
                    "INSERT INTO action (action_id, profile_id, rule, version, entry_key, "
                    "decision_id, channel, category, status, in_flight, occurred_at, created_at, "
                    "due_at, expires_at, body) VALUES (:id, :profile_id, 'thanks', 2, '', "
                    ":decision_id, 'email', 'service', 'pending', true, :at, :at, :at, :at, :body)"
                ),
                {
                    "id": uid(3, number),
                    "profile_id": UUID(one.profile_id),
                    "decision_id": UUID(one.id),
                    "at": datetime.fromisoformat(one.at),
                    "body": action_encoder.encode(message(number, one)),
                },
            )
    return made


def message(number: int, one: Decision) -> Action:
    return Action(
        action_id=str(uid(3, number)),
        idempotency_key=str(uid(3, number)),
        kind="send",
        profile_id=one.profile_id,
        channel="email",
        category="service",
        to=Identifier("email", "ada@b.c"),
        rule="thanks",
        rule_version=2,
        decision_id=one.id,
        content={"subject": "Thanks"},
    )


async def everything(client: httpx.AsyncClient, url: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, read in pages of two."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given = params | {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await client.get(url, params=given)).raise_for_status().json()
        assert len(page["items"]) <= 2
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def test_a_decision_is_shown_as_it_was_published(
    admin: httpx.AsyncClient, decided: Sequence[Decision]
) -> None:
    for one in decided:
        answer = await admin.get(f"/v1/decisions/{one.id}")
        shown = answer.json()
        done = shown.pop("actions")
        assert shown == orjson.loads(decision_encoder.encode(one))
        assert [action["action_id"] for action in done] == one.action_ids
        assert all(action["message"]["content"] for action in done)
    assert (await admin.get(f"/v1/decisions/{UUID(int=99)}")).status_code == 404


@pytest.mark.parametrize("asked", [OLDEST, OLD, PRESENT])
async def test_any_id_a_person_ever_had_gives_all_her_decisions(
    admin: httpx.AsyncClient, decided: Sequence[Decision], asked: UUID
) -> None:
    found = await everything(admin, "/v1/decisions", profile_id=str(asked))
    assert [one["id"] for one in found] == [one.id for one in reversed(decided[:6])]
    actions = await everything(admin, "/v1/actions", profile_id=str(asked))
    assert [one["decision_id"] for one in actions] == [one.id for one in reversed(decided[:6])]


async def test_the_decisions_of_a_touchpoint(
    admin: httpx.AsyncClient, decided: Sequence[Decision]
) -> None:
    found = await everything(admin, "/v1/decisions", touchpoint_id=str(uid(2, 1)))
    assert [one["id"] for one in found] == [decided[3].id, decided[2].id]


async def test_nobody_has_no_decisions_and_no_question_no_answer(admin: httpx.AsyncClient) -> None:
    assert await everything(admin, "/v1/decisions", profile_id=str(UUID(int=77))) == []
    both = {"profile_id": str(OLD), "touchpoint_id": str(uid(2, 1))}
    for params in ({}, both):
        answer = await admin.get("/v1/decisions", params=params)
        assert answer.status_code == 422
    assert (await admin.get("/v1/actions")).status_code == 422


async def test_personal_data_is_masked_for_a_viewer(
    app: FastAPI, tokens: dict[Role, str], admin: httpx.AsyncClient, decided: Sequence[Decision]
) -> None:
    urls = (f"/v1/decisions/{decided[0].id}", f"/v1/actions/{uid(3, 0)}")
    for url in urls:
        assert "ada@b.c" in (await admin.get(url)).text
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        answers = [(await viewer.get(url)).raise_for_status() for url in urls]
    assert not [answer.text for answer in answers if "ada@b.c" in answer.text]
    assert answers[0].json()["candidates"][0]["detail"]["condition"] == "email is x"
    assert answers[1].json()["message"] is None


@pytest.mark.parametrize(
    "url",
    [
        f"/v1/decisions?profile_id={PRESENT}",
        f"/v1/actions?profile_id={PRESENT}",
        "/v1/channels/web/versions",
    ],
)
async def test_a_crafted_cursor_is_the_callers_mistake(admin: httpx.AsyncClient, url: str) -> None:
    for cursor in crafted_cursors():
        answer = await admin.get(httpx.URL(url).copy_merge_params({"cursor": cursor}))
        assert answer.status_code == 400, (cursor, answer.text)
