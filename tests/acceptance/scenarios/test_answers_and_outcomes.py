"""One answer on every channel, and what customers do with it."""

from datetime import timedelta
from typing import Any

import httpx

from tests.acceptance.scenarios.company import Company, message, task
from tests.support.eventually import eventually

FALLBACK = [{"on": ["undeliverable"], "channel": "sms", "content": {"body": "Hello"}}]


async def test_5_a_bounced_mail_becomes_an_sms_if_that_is_allowed(company: Company) -> None:
    ada = await company.person("ada5")
    email_only = {"purpose": "marketing", "channel": "email", "status": "granted"}
    bo = await company.person("bo5", consents=[email_only])
    await company.rule("offer-5", "Offer 5", message("email", fallback=FALLBACK))
    for who in (ada, bo):
        await company.did(who, "Offer 5")
        mail = await company.until_action(who, channel="email", status="published")
        await company.told(mail, "bounced", reason="550 no such user")
    sms = await company.until_action(ada, channel="sms", status="published")
    assert sms["instead_of"] == (await company.actions(ada, channel="email"))[0]["action_id"]
    assert await company.actions(bo, channel="sms") == []
    fallen = await company.judged(bo, "offer-5")
    assert "consent" in str(fallen)


async def test_15_not_interested_is_heard_everywhere(company: Company) -> None:
    ada = await company.person("ada15")
    await company.rule("call-15", "Offer 15", task("clienteling"), group="card-15")
    for channel in ("web", "app", "pos"):
        await company.publish(
            "rules",
            f"card-15-{channel}",
            {
                "category": "marketing",
                "topic": "card-15",
                "group": "card-15",
                "trigger": {
                    "type": "api",
                    "where": {"attr": "context.page", "op": "eq", "value": "card-15"},
                },
                "actions": [message(channel)],
            },
        )
    await company.did(ada, "Offer 15", "app")
    (offered,) = await company.tasks(ada)
    claimed = await company.call("POST", f"/v1/tasks/{offered['id']}:claim", {})
    assert claimed.status_code == 200, claimed.text
    done = await company.call(
        "POST", f"/v1/tasks/{offered['id']}:complete", {"outcome": "declined"}
    )
    assert done.status_code == 200, done.text
    await company.settled()
    for channel in ("web", "app", "pos"):
        answer = await company.ask(ada, channel, f"slot-15-{channel}", page="card-15")
        assert answer["action"] is None, answer
        assert "declined" in " ".join(str(one) for one in answer["reasons"]), answer
    await company.advance(timedelta(days=14, hours=1))
    answer = await company.ask(ada, "app", "slot-15-later", page="card-15")
    assert answer["action"] is not None, answer


async def test_16_the_kiosk_and_the_app_give_the_same_answer(company: Company) -> None:
    ada = await company.person("ada16")
    for key, value in (("good-16", 2.0), ("better-16", 3.0)):
        await company.publish(
            "rules",
            key,
            {
                "category": "marketing",
                "topic": key,
                "trigger": {
                    "type": "api",
                    "where": {"attr": "context.page", "op": "eq", "value": "home-16"},
                },
                "score": {"propensity": 1, "value": value},
                "actions": [message("kiosk"), message("app")],
            },
        )
    first = await company.ask(ada, "kiosk", "home-16", page="home-16")
    await company.advance(timedelta(seconds=1))
    second = await company.ask(ada, "app", "home-16", page="home-16")
    assert first["action"]["rule"] == second["action"]["rule"] == "better-16"
    assert first["decision_id"] == second["decision_id"]


async def test_18_who_reads_it_is_not_called(company: Company) -> None:
    ada, bo = await company.person("ada18"), await company.person("bo18")
    await company.rule(
        "late-18",
        "Delivery Late 18",
        message("app"),
        task("call_centre", delay="PT2H"),
        category="service",
        exit_criteria=[{"event": "app.opened"}],
    )
    for who in (ada, bo):
        await company.did(who, "Delivery Late 18", "concert")
        await company.until_told(who, "app")
    (apology,) = await company.actions(ada, channel="app")
    await company.reported(ada, apology, "opened", "app")
    await company.advance(timedelta(hours=2, minutes=1))
    await company.until_action(bo, channel="call_centre", status="published")
    assert [one["status"] for one in await company.tasks(bo)] == ["open"]
    assert await company.tasks(ada) == []
    (call,) = await company.actions(ada, channel="call_centre")
    assert (call["status"], call["reason"]) == ("retracted", "exit: app.opened on app")


async def test_19_whoever_has_no_mailbox_gets_a_card(company: Company) -> None:
    ada = await company.person("ada19", without=["email"])
    line = {
        "on": ["undeliverable"],
        "channel": "direct_mail",
        "content": {"text": "10 % off with {{ profile.offer_code }}"},
    }
    ada_code = {"offer_code": "CODE-ada19"}
    await company.rule("birthday-19", "Birthday Soon 19", message("email", fallback=[line]))
    await company.did(ada, "Birthday Soon 19", "concert", traits=ada_code)
    (card,) = await company.until_told(ada, "direct_mail", "send")
    assert card["content"] == {"text": "10 % off with CODE-ada19"}
    await company.reported(ada, card, "redeemed", "pos")
    (action,) = await company.actions(ada)
    assert (action["channel"], action["response"]) == ("direct_mail", "redeemed")


async def test_21_back_in_stock_and_gone_again(company: Company) -> None:
    ada = await company.person("ada21", traits={"wish_21": "lamp"})
    bo = await company.person("bo21", traits={"wish_21": "lamp"})
    await company.person("no21", traits={"wish_21": "sofa"})
    body = {"body": "The lamp is back in {{ event.store }}"}
    await company.rule(
        "stock-21",
        "Back In Stock 21",
        message("push", delay="PT10M", content=body),
        exit_criteria=[{"event": "Out Of Stock 21"}],
    )
    wished = {"attr": "profile.wish_21", "op": "eq", "value": "lamp"}
    event = {
        "source": "stock",
        "type": "Back In Stock 21",
        "audience": wished,
        "properties": {"store": "Lyon"},
    }
    await company.say({**event, "id": "back-21"}, "concert")
    for who in (ada, bo):
        await company.until_action(who, status="pending")
    await company.did(bo, "Out Of Stock 21", "concert")
    await company.advance(timedelta(minutes=11))
    await company.until_action(ada, status="published")
    (push,) = await company.until_told(ada, "push")
    assert push["content"]["body"] == "The lamp is back in Lyon"
    assert await company.messages(bo, "push") == []


async def test_25_who_is_erased_hears_nothing_more(company: Company) -> None:
    ada = await company.person("ada25")
    await company.rule("call-25", "Offer 25", task("call_centre"), message("push", delay="PT1H"))
    await company.did(ada, "Offer 25")
    assert len(await company.tasks(ada)) == 1
    body = {"kind": "erasure", "profile_id": ada.profile_id}
    asked = await company.call("POST", "/v1/privacy-requests", body, "profile-api")
    assert asked.status_code in (201, 202), asked.text
    path = f"/v1/privacy-requests/{asked.json()['id']}"
    done = await _finished(company, path)
    assert done["receipt"]["services"]["orchestrator"]["task"] == 1
    for path_of in ("tasks", "decisions", "actions"):
        answer = await company.call("GET", f"/v1/{path_of}?profile_id={ada.profile_id}")
        assert answer.status_code == httpx.codes.GONE
    await company.did(ada, "Offer 25", by=["email"])
    await company.advance(timedelta(hours=2))
    await company.settled()
    rows = await company.concert.owner.fetchval(
        "SELECT count(*) FROM orchestrator.action WHERE profile_id = $1", ada.profile_id
    )
    assert rows == 0
    assert (await company.get(path, "profile-api"))["receipt"] == done["receipt"]


async def _finished(company: Company, path: str) -> dict[str, Any]:
    done: dict[str, Any] = await eventually(
        lambda: company.get(path, "profile-api"),
        until=lambda request: request["status"] == "completed",
        within=60,
    )
    return done
