"""Publishes the rules of the flow through the orchestrator's HTTP API, as a person would."""

from pathlib import Path
from typing import Any

import httpx

from tests.chaos.flow import CAP_WINDOW, CAPPED, DELAY, DELAYED, RULES
from tests.oracle.actions import SimpleRule

POLICY = {
    "caps": [{"scope": {"rule": CAPPED.key}, "limit": CAPPED.cap, "window": CAP_WINDOW}],
}


async def publish_rules(api_url: str, home: Path) -> None:
    """Make the rules and the contact policy live. Raises when the API refuses one."""
    token = (home / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=api_url, headers=headers, timeout=20) as api:
        await put_and_publish(api, "/v1/contact-policies/default", POLICY)
        for rule in RULES:
            await put_and_publish(api, f"/v1/rules/{rule.key}", document(rule))


async def put_and_publish(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Save a draft and publish it."""
    _check(await api.put(path, json=body))
    _check(await api.post(f"{path}:publish", json={}))


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise AssertionError(f"{answer.request.url}: {answer.status_code} {answer.text}")


def document(rule: SimpleRule) -> dict[str, Any]:
    """The rule as the API takes it: service messages on the web, where everybody has an address."""
    where = {"attr": f"event.{rule.property}", "op": rule.op, "value": rule.bound}
    action = {"type": "message", "channel": "web", "content": {"en": {"body": rule.key}}}
    if rule is DELAYED:
        action["delay"] = DELAY
    return {
        "category": "service",
        "trigger": {"type": "event", "event": rule.event_type, "where": where},
        "actions": [action],
    }
