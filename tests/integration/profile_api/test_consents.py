"""Consents over HTTP: proof, history, purposes, links, pages, and the orchestrator's gate."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from services.orchestrator.domain.consent import refusal
from services.orchestrator.domain.contact_policy import USUAL_NEEDS
from services.orchestrator.domain.update import read_moment, routed_decoder
from services.profile.domain.absorb import Rules
from services.profile.domain.consent_links import ConsentLink, signed
from services.profile.domain.consent_rules import ConsentRules, Purpose
from services.profile.domain.period import Period
from services.profile.use_cases.export_profiles import ExportProfiles
from services.profile.use_cases.load_rules import live_rules
from services.profile.use_cases.sweep_deadlines import SweepDeadlines
from shared.access import Role
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.topics import Topics
from tests.integration.profile.worker import Worker
from tests.support.api import calling
from tests.unit.profile.world import touchpoint

KEY = b"k" * 32
PURPOSES = {
    "news": Purpose("news", "<News & more>", ("consent",), True, Period(24, 0), ("email", "sms")),
    "ads": Purpose("ads", "Ads", ("consent", "contract"), channels=("email",)),
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
numbers = iter(range(1000, 2000))


async def somebody(worker: Worker, *more: tuple[str, str]) -> str:
    """A new profile."""
    number = next(numbers)
    await worker.absorb(touchpoint(number, ("email", f"p{number}@example.com"), *more))
    (found,) = await worker.rows(
        f"SELECT profile_id::text FROM identifier WHERE value = 'p{number}@example.com'"
    )
    return str(found[0])


@pytest.fixture
def declared(worker: Worker) -> Any:
    """Two declared purposes."""
    worker.rules = Rules(consents=ConsentRules(PURPOSES))
    yield
    worker.rules = Rules()


async def put(client: httpx.AsyncClient, id_: str, *said: Any, **more: Any) -> httpx.Response:
    return await client.put(f"/v1/profiles/{id_}/consents", json={"consents": list(said)} | more)


def say(status: str = "granted", purpose: str = "news", channel: str = "email", **more: Any) -> Any:
    return {"purpose": purpose, "channel": channel, "status": status, **more}


async def now_of(client: httpx.AsyncClient, id_: str) -> dict[tuple[str, str], str]:
    items = (await client.get(f"/v1/profiles/{id_}/consents")).json()["items"]
    return {(one["purpose"], one["channel"]): one["status"] for one in items}


async def refused(worker: Worker, id_: str, purpose: str, channel: str) -> str | None:
    """Why the orchestrator's gate stops a message, by the newest update in the outbox."""
    values = [
        message.value or b""
        for messages in (await worker.published()).values()
        for message in messages
        if (message.key or b"").decode() == id_
    ]
    (now,) = await worker.rows("SELECT clock.now()")
    value = values[-1]
    moment = read_moment(value, routed_decoder.decode(value), id_, now[0])
    found = refusal(
        moment.profile.consents,
        category=purpose,
        topic=None,
        channel=channel,
        need=USUAL_NEEDS.get(purpose, "opt_in"),
        at=now[0],
    )
    return None if found is None else found.reason


async def test_a_consent_has_its_proof_and_its_history(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    proof = {"source": "paper form", "ip": "192.0.2.7", "user_agent": "Pen/1", "note": "shelf 7"}
    answer = await put(admin, id_, say(text_version="v3", basis="consent"), proof=proof)
    assert answer.status_code == 200, answer.text
    await put(admin, id_, say("denied"))
    lines = (await admin.get(f"/v1/profiles/{id_}/consents/history")).json()["items"]
    assert [(one["what"], one["status"]) for one in lines] == [
        ("denied", "denied"),
        ("granted", "granted"),
    ]
    assert lines[1]["text_version"] == "v3"
    assert lines[1]["proof"] == proof | {"touchpoint_id": None, "actor": "admin"}
    masked = (await viewer.get(f"/v1/profiles/{id_}/consents/history")).json()["items"][1]["proof"]
    assert (masked["ip"], masked["user_agent"], masked["note"]) == ("***", "***", "shelf 7")
    shown = (await admin.get(f"/v1/profiles/{id_}/consents?include=proof")).json()["items"]
    assert [one["id"] for one in shown[0]["evidence"]] == [lines[0]["id"]] == [shown[0]["proof"]]
    page = (await admin.get(f"/v1/profiles/{id_}/consents/history?limit=1")).json()
    rest = await admin.get(
        f"/v1/profiles/{id_}/consents/history?limit=1&cursor={page['next_cursor']}"
    )
    assert [*page["items"], *rest.json()["items"]] == lines
    timeline = (await admin.get(f"/v1/profiles/{id_}/timeline")).json()["items"]
    assert [one["consent"] for one in timeline if one["kind"] == "consent"] == lines
    log = (await admin.get(f"/v1/audit?kind=reveal&key={id_}&limit=200")).json()["items"]
    said = [one["after"]["fields"] for one in log]
    assert said[0] == ["timeline.consent", "timeline.touchpoint"]
    assert said.count(["consents.ip", "consents.user_agent"]) == 2
    assert said.count(["identifiers.email"]) == 2


async def test_what_was_put_holds_for_the_next_decision(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    await put(admin, id_, say(purpose="marketing"))
    assert await refused(worker, id_, "marketing", "email") is None
    await put(admin, id_, say("denied", purpose="*", channel="*"))
    assert await refused(worker, id_, "marketing", "email") == "consent_denied"
    await put(admin, id_, say(purpose="*", channel="*"))
    assert await refused(worker, id_, "marketing", "email") is None
    assert await refused(worker, id_, "marketing", "sms") == "consent_missing"


async def test_a_stop_word_is_proof_and_the_history_follows_merges_and_their_undoing(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    phone = ("phone", "+33600000001")
    id_ = await somebody(worker)
    stop = touchpoint(
        next(numbers), phone, type="Message Received", channel="sms", properties={"body": "Stop"}
    )
    await worker.absorb(stop)
    (other,) = await worker.rows(
        "SELECT profile_id::text FROM identifier WHERE value = '+33600000001'"
    )
    await put(admin, id_, say(purpose="own"))
    (mail,) = await worker.rows(
        f"SELECT value FROM identifier WHERE profile_id = '{id_}' AND type = 'email'"
    )
    await worker.absorb(touchpoint(next(numbers), ("email", mail[0]), phone))
    own = {"purpose": "tips", "status": "granted"}
    await worker.absorb(
        touchpoint(next(numbers), phone, type="Consent Changed", channel="sms", properties=own)
    )
    whole = (await admin.get(f"/v1/profiles/{other[0]}/consents/history")).json()["items"]
    assert sorted(one["purpose"] for one in whole) == ["*stop", "own", "tips"]
    (stopped,) = [one for one in whole if one["purpose"] == "*stop"]
    assert stopped["proof"]["touchpoint_id"] == stop["id"]
    (merge,) = (await admin.get(f"/v1/profiles/{id_}/merges")).json()["items"]
    undone = await admin.post(f"/v1/merges/{merge['id']}:undo", json={"reason": "two people"})
    assert undone.status_code == 200, undone.text
    for side, purposes in ((id_, ["own"]), (str(other[0]), ["*stop", "tips"])):
        lines = (await admin.get(f"/v1/profiles/{side}/consents/history")).json()["items"]
        assert sorted(one["purpose"] for one in lines) == purposes
        assert [key[0] for key in await now_of(admin, side)] == purposes


async def test_a_grant_ends_at_its_instant_for_readers_and_is_then_told(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    (now,) = await worker.rows("SELECT clock.now()")
    until = now[0] + timedelta(milliseconds=400)
    await put(admin, id_, say(purpose="short", expires_at=until.isoformat()))
    assert (await now_of(admin, id_))["short", "email"] == "granted"
    tag = (await admin.get(f"/v1/profiles/{id_}")).headers["etag"]
    known = {"If-None-Match": tag}
    made = (await admin.post("/v1/exports", json={"fields": ["consents"]})).json()
    exporter = ExportProfiles(worker.engine)
    while await exporter.advance(100):
        pass
    sweeper = SweepDeadlines(
        worker.engine, topics=Topics(), counts=worker.counts, rules=lambda: worker.rules
    )
    while True:
        (now,) = await worker.rows("SELECT clock.now()")
        if now[0] > until:
            break
    assert (await now_of(admin, id_))["short", "email"] == "expired"
    assert await refused(worker, id_, "short", "email") == "consent_expired"
    listed = (await admin.get("/v1/profiles?limit=1000")).json()["items"]
    (shown,) = [one for one in listed if one["id"] == id_]
    assert shown["consents"][0]["status"] == "expired"
    again = await admin.get(f"/v1/profiles/{id_}", headers=known)
    assert (again.status_code, again.json()["consents"]) == (200, shown["consents"])
    lines = (await admin.get(f"/v1/exports/{made['id']}/content")).text.splitlines()
    (exported,) = [line for line in lines if id_ in line]
    assert '"status":"expired"' in exported
    count = await admin.post(
        "/v1/segments:preview",
        json={"condition": {"consent": {"purpose": "short", "channel": "email"}}},
    )
    assert count.json()["count"] == 0
    while await sweeper.advance(100):
        pass
    told = [one for one in await worker.updates() if one["profile_id"] == id_][-1]
    assert (told["cause"]["reason"], told["cause"]["at"]) == ("expired", rfc3339(until))
    assert told["profile"]["consents"][0]["status"] == "expired"
    lines = (await admin.get(f"/v1/profiles/{id_}/consents/history")).json()["items"]
    assert [one["what"] for one in lines] == ["expired", "granted"]
    assert await sweeper.advance(100) == 0


async def test_a_declared_purpose_is_drafted_published_and_then_in_force(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    body = {"name": "Tips", "bases": ["consent"], "expires_after": "P2Y", "channels": ["email"]}
    wrong = await admin.put(
        "/v1/consent-purposes/tips", json=body | {"bases": ["consnt"], "expires_after": "P2H"}
    )
    assert [one["path"] for one in wrong.json()["errors"]] == ["bases[0]", "expires_after"]
    saved = await admin.put("/v1/consent-purposes/tips", json=body)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"1"')
    live = live_rules(worker.engine)
    await live.refresh()
    assert "tips" not in live().consents.purposes
    assert (await admin.post("/v1/consent-purposes/tips:publish")).status_code == 200
    await live.refresh()
    assert live().consents.purposes["tips"].expires_after == Period(24, 0)
    words = {"stop": {"en": ["HALT"]}, "start": {"en": ["GO ON"]}}
    assert (await admin.put("/v1/opt-out-rules/default", json=words)).status_code == 200
    assert (await admin.post("/v1/opt-out-rules/default:publish")).status_code == 200
    await live.refresh()
    assert "halt" in live().consents.opt_outs.stop
    assert "arret" in live().consents.opt_outs.stop
    assert "unsubscribe" not in live().consents.opt_outs.stop
    both = {"stop": {"en": ["X"]}, "start": {"en": ["x!"]}}
    assert (await admin.put("/v1/opt-out-rules/default", json=both)).status_code == 422
    assert (await admin.put("/v1/opt-out-rules/other", json=words)).status_code == 404
    await admin.post("/v1/opt-out-rules/default:archive")
    await admin.post("/v1/consent-purposes/tips:archive")
    await live.refresh()
    assert "unsubscribe" in live().consents.opt_outs.stop
    assert "tips" not in live().consents.purposes


@pytest.mark.usefixtures("declared")
async def test_a_purpose_refuses_what_it_does_not_allow(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    for wrong, path in (
        (say(basis="contract"), "consents[0].basis"),
        (say(channel="fax"), "consents[0].channel"),
        (say(purpose="free", at="2999-01-01T00:00:00Z"), "consents[0].at"),
        (say(purpose="*x"), "consents[0].purpose"),
    ):
        answer = await put(admin, id_, wrong)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)
    assert await now_of(admin, id_) == {}


@pytest.mark.usefixtures("declared")
async def test_a_double_opt_in_counts_once_it_is_confirmed_by_its_link_once(
    app: FastAPI, admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    body = {"purpose": "news", "channel": "email"}
    url = f"/v1/profiles/{id_}/consents:confirmation-link"
    assert (await admin.post(url, json=body)).status_code == 409
    await put(admin, id_, say())
    assert await now_of(admin, id_) == {("news", "email"): "pending"}
    assert await refused(worker, id_, "news", "email") == "consent_pending"
    told = [one for one in await worker.updates() if one["profile_id"] == id_][-1]
    assert told["cause"]["properties"] == {"channels": ["email"], "pending": ["news"]}
    link = (await admin.post(url, json=body)).json()["url"]
    async with calling(app, None) as browser:
        page = await browser.get(link)
        assert page.status_code == 200
        assert "&lt;News &amp; more&gt;" in page.text
        assert await now_of(admin, id_) == {("news", "email"): "pending"}
        assert (await browser.post(link)).status_code == 200
        assert await now_of(admin, id_) == {("news", "email"): "granted"}
        assert await refused(worker, id_, "news", "email") is None
        assert (await browser.post(link)).status_code == 409
        assert "You have confirmed" in (await browser.get(link)).text
        await put(admin, id_, say("denied"))
        assert (await browser.post(link)).status_code == 409
        await put(admin, id_, say())
        assert await now_of(admin, id_) == {("news", "email"): "pending"}
        assert (await browser.post(link)).status_code == 409
    shown = (await admin.get(f"/v1/profiles/{id_}/consents/history")).json()["items"]
    assert [one["what"] for one in shown] == ["granted", "denied", "confirmed", "granted"]
    assert shown[2]["proof"]["source"] == "confirmation_page"


async def preference_link(admin: httpx.AsyncClient, id_: str, **body: Any) -> str:
    answer = await admin.post(f"/v1/profiles/{id_}/preference-link", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


@pytest.mark.usefixtures("declared")
async def test_the_page_shows_and_changes_preferences_without_a_login(
    app: FastAPI, admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    await put(admin, id_, say(purpose="ads"))
    link = await preference_link(admin, id_)
    async with calling(app, None) as browser:
        page = await browser.get(link)
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "@example.com" not in page.text
        assert "&lt;News &amp; more&gt;" in page.text
        assert "<News" not in page.text
        assert "<script" not in page.text
        fields = {
            "shown": ["ads email", "news email", "news sms"],
            "was": ["ads email"],
            "on": ["news email"],
            "action": "save",
        }
        saved = await browser.post(link, data=fields, headers={"User-Agent": "Browser/1"})
        assert saved.status_code == 200
        assert "saved" in saved.text
        assert await now_of(admin, id_) == {
            ("ads", "email"): "denied",
            ("news", "email"): "pending",
        }
        line = (await admin.get(f"/v1/profiles/{id_}/consents/history")).json()["items"][0]
        assert (line["proof"]["source"], line["proof"]["user_agent"]) == (
            "preference_page",
            "Browser/1",
        )
        left = await browser.post(link, data={"action": "leave"})
        assert "unsubscribed from everything" in left.text
        assert (await now_of(admin, id_))["*", "*"] == "denied"
        for wrong in (
            {"shown": ["*stop sms"], "on": ["*stop sms"]},
            {"shown": ["nobody email"], "on": ["nobody email"]},
            {"shown": ["x"]},
        ):
            assert (await browser.post(link, data=wrong)).status_code == 422
        large = await browser.post(link, content=b"a=" + b"x" * 70_000, headers=FORM)
        assert large.status_code == 422


@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_one_click_unsubscribes_from_what_the_link_is_for(
    app: FastAPI, admin: httpx.AsyncClient, worker: Worker, form: str
) -> None:
    id_ = await somebody(worker)
    link = await preference_link(admin, id_, purpose="news", channel="email")
    async with calling(app, None) as mailer:
        if form == "multipart":
            answer = await mailer.post(link, files={"List-Unsubscribe": (None, "One-Click")})
        else:
            answer = await mailer.post(link, data={"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.text) == (200, "Unsubscribed.\n")
    assert await now_of(admin, id_) == {("news", "email"): "denied"}
    line = (await admin.get(f"/v1/profiles/{id_}/consents/history")).json()["items"][0]
    assert line["proof"]["source"] == "one_click"


async def test_a_link_follows_its_profile_into_another(
    app: FastAPI, admin: httpx.AsyncClient, worker: Worker
) -> None:
    first, second = await somebody(worker), await somebody(worker)
    links = [await preference_link(admin, one) for one in (first, second)]
    answer = await admin.post(
        "/v1/profiles:merge", json={"profiles": [first, second], "reason": "the same"}
    )
    assert answer.status_code == 200, answer.text
    async with calling(app, None) as browser:
        for link in links:
            assert (await browser.post(link, data={"action": "leave"})).status_code == 200
    lines = (await admin.get(f"/v1/profiles/{first}/consents/history")).json()["items"]
    assert len(lines) == 2
    assert len({one["profile_id"] for one in lines}) == 1


async def test_a_link_that_is_forged_old_or_for_something_else_opens_nothing(
    app: FastAPI, admin: httpx.AsyncClient, worker: Worker
) -> None:
    id_ = await somebody(worker)
    link = await preference_link(admin, id_)
    token = link.rpartition("/")[2]
    profile = UUID(id_).bytes
    far = 4_000_000_000_000
    forged = signed(ConsentLink("preferences", profile, far), [b"f" * 32])
    old = signed(ConsentLink("preferences", profile, 1), [KEY])
    unknown = signed(ConsentLink("preferences", UUID(int=0).bytes, far), [KEY])
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    async with calling(app, None) as browser:
        for bad, status in (
            (forged, 404), (old, 410), (unknown, 404), (changed, 404), ("x", 404), ("%3Cb%3E", 404),
        ):  # fmt: skip
            for method in ("GET", "POST"):
                answer = await browser.request(method, f"/preferences/{bad}")
                assert answer.status_code == status, bad
                assert answer.headers["content-type"].startswith("text/html")
                assert "<b>" not in answer.text
        assert (await browser.get(f"/consent-confirmations/{token}")).status_code == 404
        for _ in range(58):
            last = await browser.get(link)
        assert last.status_code == 200
        many = await browser.get(link)
        assert (many.status_code, int(many.headers["retry-after"]) > 0) == (429, True)
    assert await now_of(admin, id_) == {}


async def test_only_privacy_officers_make_links(
    app: FastAPI, tokens: dict[Role, str], worker: Worker
) -> None:
    id_ = await somebody(worker)
    async with calling(app, tokens[Role.OPS]) as ops:
        assert (await ops.post(f"/v1/profiles/{id_}/preference-link")).status_code == 403
    async with calling(app, tokens[Role.PRIVACY]) as officer:
        made = await officer.post(f"/v1/profiles/{id_}/preference-link", json={"expires_in": "P1D"})
        assert parse_rfc3339(made.json()["expires_at"]).tzinfo is not None
        for wrong in ("PT1H", "P9Y", "soon"):
            answer = await officer.post(
                f"/v1/profiles/{id_}/preference-link", json={"expires_in": wrong}
            )
            assert answer.status_code == 422
