"""Channels with connectors over HTTP: what may be saved; and test sends."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import Stage
from tests.support.api import calling
from tests.unit.orchestrator.build import ruleset

ADA = "01930000-0000-7000-8000-000000000001"
HOOK = {"url": "https://hooks.example.com/concert", "secret_ref": "hook"}
SMTP = {"host": "mail.example.com", "from": "Shop <shop@example.com>"}
FILE = {"folder": "print/daily", "zone": "Europe/Paris", "days": ["mon"]}
WELCOME = {
    "channel": "email",
    "content": {"en": {"subject": "Hello {{ profile.first_name }}", "body": "{{ event.total }}"}},
    "fallbacks": {"first_name": "there"},
}


def problems(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["path"]: error["rule"] for error in answer.json()["errors"]}


async def test_channels_with_connectors_are_saved(admin: httpx.AsyncClient) -> None:
    for document in (
        {"connector": "webhook", "webhook": HOOK, "delivery": "at_most_once",
         "rate": {"limit": 10, "per": "PT1S"}, "retry": {"tries": 3, "first": "PT10S"},
         "fallback": "sms"},
        {"connector": "smtp", "smtp": SMTP},
        {"connector": "file", "file": FILE, "kind": "offline"},
        {"connector": "task"},
        {"connector": "kafka"},
    ):  # fmt: skip
        answer = await admin.put("/v1/channels/shop_mail", json=document)
        assert answer.status_code == 200, answer.text
        assert answer.json()["connector"] == document["connector"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"connector": "webhook"}, {"webhook": "required"}),
        ({"connector": "smtp", "webhook": HOOK, "smtp": SMTP}, {"webhook": "connector"}),
        ({"connector": "pigeon"}, {"connector": "choice"}),
        ({"connector": "webhook", "webhook": {"url": HOOK["url"]}},
         {"webhook.secret_ref": "required"}),
        ({"connector": "webhook", "webhook": HOOK | {"secret": "whsec_abc"}},
         {"webhook.secret": "unknown_field"}),
        ({"connector": "webhook", "webhook": HOOK | {"secret_ref": "../admin-token"}},
         {"webhook.secret_ref": "secret_ref"}),
        ({"connector": "webhook", "webhook": HOOK | {"url": "http://hooks.example.com/"}},
         {"webhook.url": "scheme"}),
        ({"connector": "webhook", "webhook": HOOK | {"url": "https://inside.example.com/"}},
         {"webhook.url": "address"}),
        ({"connector": "webhook", "webhook": HOOK | {"url": "https://169.254.169.254/latest"}},
         {"webhook.url": "address"}),
        ({"connector": "webhook", "webhook": HOOK | {"url": "https://0x7f.1/"}},
         {"webhook.url": "host"}),
        ({"connector": "webhook", "webhook": HOOK | {"url": "https://hooks.example.com:22/"}},
         {"webhook.url": "port"}),
        ({"connector": "webhook", "webhook": HOOK | {"timeout": "PT2M"}},
         {"webhook.timeout": "duration"}),
        ({"connector": "smtp", "smtp": SMTP | {"host": "127.0.0.1"}}, {"smtp.host": "address"}),
        ({"connector": "smtp", "smtp": SMTP | {"from": "x\r\nBcc: a@b.de"}},
         {"smtp.from": "address"}),
        ({"connector": "smtp", "smtp": SMTP | {"username": "u"}}, {"smtp.username": "together"}),
        ({"connector": "smtp", "smtp": SMTP | {"username": "u", "password_ref": "p",
                                                "tls": "none"}}, {"smtp.tls": "cleartext"}),
        ({"connector": "file", "file": FILE | {"folder": "../etc"}}, {"file.folder": "folder"}),
        ({"connector": "file", "file": FILE | {"cut_off": "25:00"}}, {"file.cut_off": "time"}),
        ({"connector": "file", "file": FILE | {"zone": "Mars/Base"}}, {"file.zone": "zone"}),
        ({"connector": "file", "file": FILE | {"columns": ["__class__"]}},
         {"file.columns[0]": "choice"}),
        ({"rate": {"per": "PT1S"}}, {"rate.limit": "required"}),
        ({"retry": {"first": "PT1H", "longest": "PT1M"}}, {"retry.longest": "order"}),
        ({"fallback": "shop_mail"}, {"fallback": "itself"}),
    ],
)  # fmt: skip
async def test_mistakes_are_named(
    admin: httpx.AsyncClient, document: dict[str, Any], expected: dict[str, str]
) -> None:
    assert problems(await admin.put("/v1/channels/shop_mail", json=document)) == expected


async def test_a_template_that_its_channel_cannot_carry_is_refused(
    admin: httpx.AsyncClient,
) -> None:
    bad = {"channel": "email", "content": {"en": {"subject": "Hi\r\nBcc: x@y.de", "body": "b"}}}
    assert problems(await admin.put("/v1/templates/bad", json=bad)) == {
        "content.en.subject": "line_break"
    }
    long = {"channel": "sms", "content": {"en": {"body": "a" * 1600}}}
    assert problems(await admin.put("/v1/templates/bad", json=long)) == {
        "content.en.body": "max_length"
    }
    link = {"channel": "push", "content": {"en": {"url": "javascript:alert(1)"}}}
    assert problems(await admin.put("/v1/templates/bad", json=link)) == {"content.en.url": "url"}


async def test_a_rule_needs_what_its_mail_needs(admin: httpx.AsyncClient) -> None:
    saved = await admin.put("/v1/channels/news", json={"connector": "smtp", "smtp": SMTP})
    assert saved.status_code == 200, saved.text
    rule = {
        "category": "service",
        "trigger": {"type": "event", "event": "Cart Updated"},
        "actions": [{"type": "message", "channel": "news", "content": {"text": "Hi"}}],
    }
    assert (await admin.put("/v1/rules/mailing", json=rule)).status_code == 200
    answer = await admin.post("/v1/rules/mailing:publish")
    assert problems(answer) == {"actions[0].content.subject": "required"}


async def test_a_test_is_queued_marked_and_audited(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    await _forget_tests(engine)
    await admin.put("/v1/templates/welcome", json=WELCOME)
    await admin.put("/v1/channels/email", json={"connector": "kafka"})
    url = "/v1/templates/welcome:test-send"
    asked = {"to": "me@example.com", "profile_id": ADA, "event": {"properties": {"total": 5}}}
    answer = await admin.post(url, json=asked)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert made["content"] == {"subject": "Hello Ada", "body": "5"}
    stage = Stage(engine, ruleset())
    (message,) = [
        one.value for one in await stage.messages("actions.email")
        if one.value["action_id"] == made["action_id"]
    ]  # fmt: skip
    assert message["test"] is True
    assert message["to"] == {"type": "email", "value": "me@example.com"}
    (delivery,) = (await admin.get(f"/v1/deliveries/{made['action_id']}")).json()["items"]
    assert (delivery["state"], delivery["test"]) == ("delivered", True)
    audit = (await admin.get("/v1/audit", params={"kind": "template", "key": "welcome"})).json()
    assert audit["items"][0]["action"] == "test_send"
    assert "me@example.com" not in str(audit)
    async with calling(app, tokens[Role.PUBLISHER]) as publisher:
        masked = await publisher.post(url, json=asked)
    assert masked.json()["content"]["subject"] == "Hello A***"


async def test_a_test_for_a_connector_waits_for_it(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await _forget_tests(engine)
    await admin.put("/v1/templates/welcome", json=WELCOME)
    await admin.put("/v1/channels/email", json={"connector": "smtp", "smtp": SMTP})
    url = "/v1/templates/welcome:test-send"
    made = (await admin.post(url, json={"to": "me@example.com"})).json()
    assert made["content"]["subject"] == "Hello there"
    (delivery,) = (await admin.get(f"/v1/deliveries/{made['action_id']}")).json()["items"]
    assert (delivery["state"], delivery["tries"]) == ("waiting", 0)
    assert problems(await admin.post(url, json={"to": "me\r\n@x"})) == {"to": "address"}
    await admin.put("/v1/channels/email", json={"connector": "kafka", "enabled": False})
    assert (await admin.post(url, json={"to": "me@example.com"})).status_code == 409


async def test_tests_are_few(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await _forget_tests(engine)
    await admin.put("/v1/templates/welcome", json=WELCOME)
    await admin.put("/v1/channels/email", json={"connector": "kafka"})
    url = "/v1/templates/welcome:test-send"
    answers = [
        (await admin.post(url, json={"to": "me@example.com"})).status_code for _ in range(11)
    ]
    assert answers == [202] * 10 + [429]


async def test_what_cannot_be_sent_is_said(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await _forget_tests(engine)
    unknown = await admin.post("/v1/templates/nothing:test-send", json={"to": "me@example.com"})
    assert unknown.status_code == 404
    anywhere = {"content": {"en": {"body": "{{ event.x | divided_by: 0 }}"}}}
    await admin.put("/v1/templates/anywhere", json=anywhere)
    url = "/v1/templates/anywhere:test-send"
    assert problems(await admin.post(url, json={"to": "x"})) == {"channel": "required"}
    asked = {"to": "x", "channel": "push"}
    assert problems(await admin.post(url, json=asked)) == {"content": "render"}
    nowhere = await admin.post(url, json={"to": "x", "channel": "nowhere"})
    assert nowhere.status_code == 404
    none = await admin.get("/v1/deliveries/00000000-0000-0000-0000-000000000009")
    assert none.status_code == 404


async def _forget_tests(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await tx.execute(text("TRUNCATE delivery, outbox"))
