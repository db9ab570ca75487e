"""Who sees personal data masked cannot find it out by a rehearsal or by letting an audience in."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from tests.integration.orchestrator_api.acting import run
from tests.integration.orchestrator_api.conftest import AnswersOfProfileService
from tests.support.api import calling
from tests.unit.orchestrator.build import email, rule_json
from tests.unit.orchestrator.journeys.build import document, end, mail, wait

PERIOD = {"from": "2026-10-02T00:00:00Z", "to": "2026-10-03T00:00:00Z"}


def asks(attr: str) -> dict[str, Any]:
    return {"attr": attr, "op": "starts_with", "value": "a"}


def rule(where: dict[str, Any]) -> dict[str, Any]:
    return rule_json(engagement_policy={"eligibility": where})


def by_exit(where: dict[str, Any]) -> dict[str, Any]:
    return rule_json(exit_criteria=[{"event": "Signed Up", "where": where}])


def journey(where: dict[str, Any]) -> dict[str, Any]:
    branch = {"id": "b", "type": "branch", "cases": [{"when": where, "next": "m"}], "else": "end"}
    return document(branch, mail("m"), end())


def birthdays() -> dict[str, Any]:
    return document(wait("w", date_attr="profile.birthday", local_time="09:00"), end())


@pytest.mark.parametrize(
    ("kind", "draft", "path"),
    [
        ("rules", rule(asks("profile.email")), "engagement_policy.eligibility"),
        ("rules", rule(asks("profile.nickname")), "engagement_policy.eligibility"),
        ("rules", by_exit(asks("event.email")), "exit_criteria[0]"),
        ("journeys", journey(asks("profile.phone")), "nodes[0].cases[0].when"),
        ("journeys", birthdays(), "nodes[0].date_attr"),
        ("rules", rule_json(actions=[email(locale="profile.email")]), "actions[0].locale"),
    ],
)
async def test_a_draft_about_personal_data_is_rehearsed_for_who_may_read_it(
    app: FastAPI, tokens: dict[Role, str], profile_service: AnswersOfProfileService,
    kind: str, draft: dict[str, Any], path: str,
) -> None:  # fmt: skip
    profile_service.traits = {"profile.nickname": "string"}
    profile_service.classes = {"profile.nickname": "personal"}
    url = f"/v1/{kind}/about"
    async with calling(app, tokens[Role.EDITOR]) as editor:
        saved = await editor.put(url, json=draft)
        assert saved.status_code in (200, 201), saved.text
        refused = await editor.post(f"{url}:simulate", json=PERIOD)
        assert refused.status_code == 422
        [problem] = refused.json()["errors"]
        assert (problem["path"], problem["rule"]) == (path, "personal")
    async with calling(app, tokens[Role.ADMIN]) as admin:
        assert (await admin.post(f"{url}:simulate", json=PERIOD)).status_code == 202


@pytest.mark.parametrize(("attr", "shown"), [("email", False), ("favourite_category", True)])
async def test_a_result_about_personal_data_is_for_who_may_read_it(
    app: FastAPI, tokens: dict[Role, str], admin: httpx.AsyncClient, engine: AsyncEngine,
    attr: str, shown: bool,
) -> None:  # fmt: skip
    url = f"/v1/rules/read_{attr}"
    await admin.put(url, json=rule(asks(f"profile.{attr}")))
    made = (await admin.post(f"{url}:simulate", json=PERIOD)).raise_for_status().json()
    id_ = made["simulation_id"]
    await run(engine, "UPDATE simulation SET status = 'completed', counts = '{}', digest = 'd',"
              " changed_total = 1 WHERE id = :id", id=id_)  # fmt: skip
    await run(engine, "INSERT INTO simulation_change VALUES (:id, 0, :id, :body)",
              id=id_, body='{"profile_id": "ada"}')  # fmt: skip
    for role in (Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.OPS):
        async with calling(app, tokens[role]) as reader:
            one = (await reader.get(f"/v1/simulations/{id_}")).raise_for_status().json()
        result = [one[name] for name in ("counts", "changed", "changed_total", "digest")]
        if shown or role == Role.OPS:
            assert result == [{}, [{"profile_id": "ada"}], 1, "d"]
        else:
            assert result == [None, [], None, None]


async def test_what_everybody_sees_is_rehearsed_and_nothing_while_nobody_knows_the_classes(
    app: FastAPI, tokens: dict[Role, str], profile_service: AnswersOfProfileService
) -> None:
    async with calling(app, tokens[Role.EDITOR]) as editor:
        await editor.put("/v1/rules/plain", json=rule(asks("profile.favourite_category")))
        assert (await editor.post("/v1/rules/plain:simulate", json=PERIOD)).status_code == 202
        profile_service.away = True
        assert (await editor.post("/v1/rules/plain:simulate", json=PERIOD)).status_code == 503


async def test_an_audience_by_personal_data_is_let_in_by_who_may_read_it(
    app: FastAPI, tokens: dict[Role, str], admin: httpx.AsyncClient
) -> None:
    url = "/v1/journeys/open"
    entry = {"entry": {"type": "api"}}
    for answer in (
        await admin.put(url, json=document(mail("m"), end(), **entry)),
        await admin.post(f"{url}:publish", json={}),
    ):
        assert answer.status_code < 300, answer.text
    body = {"audience": asks("profile.email")}
    async with calling(app, tokens[Role.PUBLISHER]) as publisher:
        refused = await publisher.post(f"{url}:enter-audience", json=body)
        assert refused.status_code == 422
        [problem] = refused.json()["errors"]
        assert (problem["path"], problem["rule"]) == ("audience", "personal")
        plain = {"audience": asks("profile.favourite_category")}
        assert (await publisher.post(f"{url}:enter-audience", json=plain)).status_code == 202
    assert (await admin.post(f"{url}:enter-audience", json=body)).status_code == 202
