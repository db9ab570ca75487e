"""Who sees personal data masked cannot find it out by a rehearsal or by letting an audience in."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.integration.orchestrator_api.conftest import AnswersOfProfileService
from tests.support.api import calling
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.journeys.build import document, end, mail

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


@pytest.mark.parametrize(
    ("kind", "draft", "path"),
    [
        ("rules", rule(asks("profile.email")), "engagement_policy.eligibility"),
        ("rules", rule(asks("profile.nickname")), "engagement_policy.eligibility"),
        ("rules", by_exit(asks("event.email")), "exit_criteria[0]"),
        ("journeys", journey(asks("profile.phone")), "nodes[0].cases[0].when"),
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
