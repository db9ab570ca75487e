"""Every route x every role against a table that a person can read."""

from uuid import UUID

import pytest
from fastapi import FastAPI

from shared.access import Role
from shared.http.problem import DOCUMENTED
from tests.support.api import ACCESS_ROUTES, MAY, calling, served, who_may_call

ROUTES: dict[tuple[str, str], str] = {
    **{
        (method, f"/v1/{kind}{path}"): permission
        for kind in ("rules", "contact-policies")
        for (method, path), permission in {
            ("GET", ""): "read",
            ("GET", "/{key}"): "read",
            ("GET", "/{key}/versions"): "read",
            ("GET", "/{key}/versions/{number}"): "read",
            ("PUT", "/{key}"): "edit",
            ("POST", "/{key}:validate"): "read",
            ("POST", "/{key}:publish"): "publish",
            ("POST", "/{key}:pause"): "publish",
            ("POST", "/{key}:resume"): "publish",
            ("POST", "/{key}:archive"): "publish",
            ("POST", "/{key}:simulate"): "edit",
        }.items()
    },
    ("GET", "/v1/experiments"): "read",
    ("GET", "/v1/experiments:plan"): "read",
    ("GET", "/v1/experiments/{key}"): "read",
    ("GET", "/v1/experiments/{key}/versions"): "read",
    ("GET", "/v1/experiments/{key}/versions/{number}"): "read",
    ("GET", "/v1/experiments/{key}/read-out"): "read",
    ("PUT", "/v1/experiments/{key}"): "edit",
    ("POST", "/v1/experiments/{key}:validate"): "read",
    ("POST", "/v1/experiments/{key}:publish"): "publish",
    ("POST", "/v1/experiments/{key}:stop"): "publish",
    ("POST", "/v1/experiments/{key}:conclude"): "publish",
    ("POST", "/v1/experiments/{key}:archive"): "publish",
    ("GET", "/v1/holdouts/lift"): "read",
    ("GET", "/v1/journeys/{key}/read-out"): "read",
    ("POST", "/v1/journeys/{key}:conclude"): "publish",
    ("GET", "/v1/journeys"): "read",
    ("GET", "/v1/journeys/{key}"): "read",
    ("GET", "/v1/journeys/{key}/versions"): "read",
    ("GET", "/v1/journeys/{key}/versions/{number}"): "read",
    ("PUT", "/v1/journeys/{key}"): "edit",
    ("POST", "/v1/journeys/{key}:validate"): "read",
    ("GET", "/v1/journeys/{key}:preview"): "read",
    ("POST", "/v1/journeys/{key}:dry-run"): "read",
    ("POST", "/v1/journeys/{key}:publish"): "publish",
    ("POST", "/v1/journeys/{key}:pause"): "publish",
    ("POST", "/v1/journeys/{key}:resume"): "publish",
    ("POST", "/v1/journeys/{key}:archive"): "publish",
    ("POST", "/v1/journeys/{key}:simulate"): "edit",
    ("GET", "/v1/simulations"): "read",
    ("GET", "/v1/simulations/{simulation_id}"): "read",
    ("POST", "/v1/simulations/{simulation_id}:cancel"): "edit",
    ("POST", "/v1/journeys/{key}:enter"): "serve",
    ("POST", "/v1/journeys/{key}:enter-audience"): "publish",
    ("GET", "/v1/journeys/{key}/audiences"): "read",
    ("GET", "/v1/journeys/{key}/runs"): "read",
    ("GET", "/v1/journeys/{key}/stats"): "read",
    ("GET", "/v1/journeys/{key}/attribution"): "read",
    ("POST", "/v1/journeys/{key}/runs:stop"): "operate",
    ("POST", "/v1/journeys/{key}/runs:move"): "operate",
    ("POST", "/v1/journeys/{key}/runs:skip"): "operate",
    ("GET", "/v1/runs/{run_id}"): "read",
    **{
        ("POST", f"/v1/runs/{{run_id}}:{verb}"): "operate"
        for verb in ("move", "skip", "retry", "stop", "pause", "resume")
    },
    ("GET", "/v1/templates"): "read",
    ("GET", "/v1/templates/{key}"): "read",
    ("GET", "/v1/templates/{key}/versions"): "read",
    ("PUT", "/v1/templates/{key}"): "publish",
    ("POST", "/v1/templates/{key}:preview"): "read",
    ("POST", "/v1/templates/{key}:test-send"): "publish",
    ("GET", "/v1/deliveries/{action_id}"): "read",
    ("GET", "/v1/channels"): "read",
    ("GET", "/v1/channels/{key}"): "read",
    ("GET", "/v1/channels/{key}/versions"): "read",
    ("PUT", "/v1/channels/{key}"): "operate",
    ("GET", "/v1/resources"): "read",
    ("GET", "/v1/resources/{key}"): "read",
    ("GET", "/v1/resources/{key}/versions"): "read",
    ("PUT", "/v1/resources/{key}"): "operate",
    ("POST", "/v1/decide"): "serve",
    ("GET", "/v1/decisions"): "read",
    ("GET", "/v1/decisions/{decision_id}"): "read",
    ("POST", "/v1/decisions/{decision_id}:replay"): "read",
    ("GET", "/v1/actions"): "read",
    ("GET", "/v1/actions/{action_id}"): "read",
    ("POST", "/v1/deliveries/{action_id}/events"): "serve",
    ("GET", "/v1/tasks"): "read tasks",
    ("GET", "/v1/tasks/{task_id}"): "read tasks",
    ("POST", "/v1/tasks/{task_id}:claim"): "serve",
    ("POST", "/v1/tasks:claim"): "serve",
    ("POST", "/v1/tasks/{task_id}:release"): "serve",
    ("POST", "/v1/tasks/{task_id}:complete"): "serve",
    ("GET", "/v1/people/{profile_id}/erasure"): "erase",
    ("GET", "/v1/test-clock"): "read",
    ("POST", "/v1/test-clock"): "operate",
    ("DELETE", "/v1/test-clock"): "operate",
    **ACCESS_ROUTES,
}


def url_of(path: str) -> str:
    nil = str(UUID(int=0))
    return path.format(
        key="nothing",
        number=1,
        decision_id=nil,
        action_id=nil,
        task_id=nil,
        run_id=nil,
        simulation_id=nil,
        profile_id=nil,
        token_id="0" * 16,
    )


def test_the_table_names_every_route(app: FastAPI) -> None:
    assert sorted(served(app)) == sorted(ROUTES)


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
async def test_a_route_lets_in_exactly_the_roles_of_the_table(
    app: FastAPI, tokens: dict[Role, str], method: str, path: str
) -> None:
    demanded = ROUTES[method, path]
    expected = {role for role, may in MAY.items() if demanded in may}
    assert await who_may_call(app, tokens, method, url_of(path)) == expected


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
async def test_no_route_answers_without_a_token(app: FastAPI, method: str, path: str) -> None:
    async with calling(app, None) as client:
        answer = await client.request(method, url_of(path))
    assert answer.status_code == 401
    [(media, documented)] = DOCUMENTED["default"]["content"].items()
    assert answer.headers["content-type"] == media
    assert sorted(answer.json()) == sorted(documented["schema"]["required"])
