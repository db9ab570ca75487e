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
    CandidateAction,
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
        await keep(engine, one, number)
    return made


async def keep(
    engine: AsyncEngine, one: Decision, number: int = 50, *, reason: str | None = None
) -> None:
    """Store a decision with its action, as the worker leaves them."""
    async with engine.begin() as tx:
        await tx.execute(
            text("INSERT INTO profile_state (profile_id, last_seq) VALUES (:id, 1)"
                 " ON CONFLICT DO NOTHING"),
            {"id": UUID(one.profile_id)},
        )  # fmt: skip
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
                "due_at, expires_at, body, reason) VALUES (:id, :profile_id, 'thanks', 2, '', "
                ":decision_id, 'email', 'service', 'pending', true, :at, :at, :at, :at, :body, "
                ":reason)"
            ),
            {
                "id": uid(3, number),
                "profile_id": UUID(one.profile_id),
                "decision_id": UUID(one.id),
                "at": datetime.fromisoformat(one.at),
                "body": action_encoder.encode(message(number, one)),
                "reason": reason,
            },
        )


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


async def test_what_a_clause_saw_is_masked_whatever_it_is(
    app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    profile, seen = UUID(int=4_001), ["Ada", "12 Rue X", "1990-01-02", 19900102, ["Lovelace"]]
    one = decision(50, profile)
    one.candidates[:] = [
        Candidate(
            rule=f"r{number}", version=1, stage=stage, passed=False, reason=reason,
            detail=CandidateDetail(condition="x", expected="zzz", actual=actual),
            actions=[CandidateAction(index=0, channel="email", stage="channel",
                                     reason="content_failed",
                                     detail=CandidateDetail(condition="c", actual="no Lovelace"))],
        )
        for number, (actual, stage, reason) in enumerate(
            [*((value, "eligibility", "not_eligible") for value in seen),
             ("Lovelace is no number", "channel", "content_failed"),
             (True, "suitability", "not_suitable"), ("denied", "consent", "consent_denied")]
        )
    ]  # fmt: skip
    await keep(engine, one, reason="content_failed: Lovelace is no number")
    urls = (f"/v1/decisions/{one.id}", f"/v1/decisions?profile_id={profile}",
            f"/v1/actions?profile_id={profile}")  # fmt: skip
    for role in (Role.VIEWER, Role.EDITOR, Role.PUBLISHER):
        async with calling(app, tokens[role]) as client:
            texts = [(await client.get(url)).raise_for_status().text for url in urls]
        for text_ in texts:
            for hidden in ("Ada", "Lovelace", "12 Rue", "1990-01", "19900102"):
                assert hidden not in text_
    shown = [one["detail"]["actual"] for one in orjson.loads(texts[0])["candidates"]]
    assert shown == ["A***", "1***", "1***", "***", ["L***"], "L***", True, "denied"]
    assert orjson.loads(texts[2])["items"][0]["reason"] == "content_failed: ***"


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


async def test_ids_of_erased_people_are_gone(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    erased, decided, done = UUID(int=901), UUID(int=902), UUID(int=903)
    async with engine.begin() as tx:
        for statement, id_ in (
            ("INSERT INTO profile_state (profile_id, last_seq, erased) VALUES (:id, 1, true)",
             erased),
            ("INSERT INTO erased_decision VALUES (:id)", decided),
            ("INSERT INTO erased_action VALUES (:id)", done),
        ):  # fmt: skip
            await tx.execute(text(statement), {"id": id_})
    paths = [f"/v1/decisions/{decided}"]
    paths += [f"/v1/{kind}/{done}" for kind in ("actions", "tasks", "deliveries")]
    paths += [f"/v1/{kind}?profile_id={erased}" for kind in ("actions", "tasks", "decisions")]
    for path in paths:
        assert (await admin.get(path)).status_code == 410, path
    assert (await admin.post(f"/v1/decisions/{decided}:replay")).status_code == 410
    for kind in ("decisions", "actions", "tasks", "deliveries"):
        assert (await admin.get(f"/v1/{kind}/{UUID(int=904)}")).status_code == 404, kind
    async with engine.begin() as tx:
        await tx.execute(text("DELETE FROM profile_state WHERE erased"))
