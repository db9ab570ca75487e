"""What touchpoints say about consents, folded: forms, words in messages, opt-outs of channels."""

from dataclasses import replace
from typing import Any

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import MAX_CONSENTS, ConsentRecord, holding
from services.profile.domain.consent_rules import ConsentRules, Purpose
from services.profile.domain.profile import encode_state
from tests.unit.profile.world import World, touchpoint

MAIL, PHONE = ("email", "e@x.y"), ("phone", "+33612345678")
NOW = "2026-12-01T00:00:00.000Z"


def form(number: int, *said: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A form that was sent, with consents."""
    return touchpoint(
        number, MAIL, type="Consent Changed", properties={"consents": list(said)}, **fields
    )


def sms(number: int, body: str, **fields: Any) -> dict[str, Any]:
    """A message that a customer wrote."""
    return touchpoint(
        number, PHONE, type="Message Received", channel="sms", properties={"body": body}, **fields
    )


def consent(status: str = "granted", purpose: str = "news", **fields: Any) -> dict[str, Any]:
    return {"purpose": purpose, "channel": "email", "status": status, **fields}


def status(world: World, purpose: str, channel: str) -> str | None:
    (person,) = world.active()
    return holding(person.state.consents, NOW).get((purpose, channel))


def test_a_form_changes_consents_in_the_same_fold_and_tells_it() -> None:
    world = World()
    world.take(form(1, consent(text_version="v3", basis="consent"), consent("denied", "ads")))
    own, told = world.updates()
    assert own["cause"]["type"] == "Consent Changed"
    assert [one["status"] for one in own["profile"]["consents"]] == ["denied", "granted"]
    assert own["profile"]["consents"] == told["profile"]["consents"]
    cause = told["cause"]
    assert (cause["kind"], cause["type"]) == ("consent_changed", "consent_changed")
    assert cause["touchpoint_id"] == own["cause"]["id"]
    assert cause["properties"] == {"channels": ["email"], "granted": ["news"], "denied": ["ads"]}
    assert told["seq"] == own["seq"] + 1


def test_saying_it_again_moves_its_time_but_is_no_news() -> None:
    world = World()
    world.take(form(1, consent()), form(2, consent()))
    assert len(world.updates()) == 3
    (person,) = world.active()
    assert person.state.consents["news\0email"].at == "2026-11-21T10:00:02.000Z"


def test_flat_properties_and_a_consent_manager_are_understood() -> None:
    world = World()
    flat = {"purpose": "news", "status": "granted"}
    world.take(touchpoint(1, MAIL, type="Consent Changed", channel="pos", properties=flat))
    preferences = {"consent": {"categoryPreferences": {"Ads": False, "Stats": True, "x y": True}}}
    said = World().take(
        touchpoint(2, MAIL, type="Segment Consent Preference Updated", context=preferences)
    )
    world.take(touchpoint(2, MAIL, type="Segment Consent Preference Updated", context=preferences))
    assert status(world, "news", "pos") == "granted"
    assert status(world, "Stats", "email") == "granted"
    assert status(world, "Ads", "web") == "denied"
    assert said.outcomes["consent_dropped"] == 1


@pytest.mark.parametrize(
    "said",
    [
        {"purpose": "", "status": "granted"},
        {"purpose": "a b", "status": "granted"},
        {"purpose": "x" * 65, "status": "granted"},
        {"purpose": "*stop", "status": "granted"},
        {"purpose": "*x", "status": "granted"},
        {"purpose": "news", "status": "maybe"},
        {"purpose": 7, "status": "granted"},
        {"purpose": "news", "status": "granted", "channel": None},
        {"purpose": "news", "status": "granted", "expires_at": "soon"},
        {"purpose": "news", "status": "granted", "expires_at": 7},
        "news",
    ],
)
def test_what_cannot_be_understood_is_left_out_and_counted(said: Any) -> None:
    result = World().take(form(1, said, consent(purpose="other")))
    assert result.outcomes["consent_dropped"] == 1
    assert [one.entry.purpose for one in result.said] == ["other"]


@pytest.mark.parametrize("word", ["STOP", " stop. ", "Arrêt", "ARRET", "Stopp!", "Opt-out", "baja"])
def test_a_word_stops_the_channel_and_another_resumes_only_that(word: str) -> None:
    world = World()
    world.take(sms(1, "hello"), sms(2, word))
    assert status(world, "news", "sms") == "denied"
    assert status(world, "news", "email") is None
    (entry,) = [one for one in world.updates() if one["cause"]["kind"] == "consent_changed"]
    assert entry["cause"]["properties"] == {"channels": ["sms"], "denied": ["*stop"]}
    world.take(
        touchpoint(3, PHONE, type="Consent Changed", channel="sms", properties=consent("denied"))
    )
    world.take(
        touchpoint(
            4,
            PHONE,
            type="Consent Changed",
            channel="sms",
            properties={"purpose": "ads", "status": "denied"},
        )
    )
    world.take(sms(5, "START"))
    assert status(world, "news", "sms") is None
    assert status(world, "ads", "sms") == "denied"


@pytest.mark.parametrize(
    "body", ["stop by at five?", "please do not stop", "", 7, "x" * 5000, None]
)
def test_other_messages_stop_nothing(body: Any) -> None:
    world = World()
    world.take(sms(1, body))
    assert world.active()[0].state.consents == {}


def test_a_message_on_another_channel_stops_nothing() -> None:
    world = World()
    world.take(sms(1, "STOP") | {"channel": "web"})
    assert world.active()[0].state.consents == {}


def test_channel_systems_report_who_opted_out() -> None:
    world = World()
    said = {"type": "Unsubscribed", "channel": "email"}
    world.take(form(1, consent(), consent(purpose="ads")))
    world.take(touchpoint(2, MAIL, properties={"purpose": "ads"}, **said))
    assert (status(world, "ads", "email"), status(world, "news", "email")) == ("denied", "granted")
    world.take(touchpoint(3, MAIL, **said))
    assert status(world, "news", "email") == "denied"
    other = World()
    other.take(touchpoint(1, MAIL, type="complained", channel="email"))
    assert status(other, "anything", "email") == "denied"
    assert status(other, "anything", "sms") is None


def test_a_wrong_clock_does_not_outlast_a_later_word() -> None:
    world = World()
    early = form(1, consent()) | {"occurred_at": "2026-11-21T10:04:59.000Z"}
    world.take(early, form(2, consent("denied")))
    assert status(world, "news", "email") == "denied"


def test_a_purpose_that_needs_confirming_is_pending_and_one_that_refuses_is_left_out() -> None:
    purposes = {"news": Purpose("news", "News", ("consent",), double_opt_in=True)}
    world = World(Rules(consents=ConsentRules(purposes)))
    result = world.take(form(1, consent(), consent(basis="contract", channel="sms")))
    assert status(world, "news", "email") == "pending"
    assert world.updates()[-1]["cause"]["properties"]["pending"] == ["news"]
    assert result.outcomes["consent_dropped"] == 1


def test_a_full_profile_takes_no_more_but_a_general_refusal() -> None:
    world = World()
    world.take(touchpoint(1, PHONE))
    (person,) = world.active()
    record = ConsentRecord("granted", "2026-01-01T00:00:00.000Z")
    person.state.consents.update({f"p{n}\0sms": record for n in range(MAX_CONSENTS)})
    world.rows[person.id] = replace(world.rows[person.id], state=encode_state(person.state))
    result = world.take(
        touchpoint(2, PHONE, type="Consent Changed", channel="sms", properties=consent()),
        sms(3, "STOP"),
    )
    assert result.outcomes["consent_dropped"] == 1
    assert status(world, "p7", "sms") == "denied"


@pytest.mark.parametrize("size", [1, 2, 7])
def test_batches_of_any_size_give_the_same_bytes(size: int) -> None:
    story = [
        form(1, consent(), consent("denied", "ads")),
        touchpoint(2, MAIL, PHONE),
        sms(3, "STOP"),
        sms(4, "START"),
        form(5, consent("denied"), consent(purpose="ads", expires_at="2026-11-22T00:00:00Z")),
        touchpoint(6, ("user_id", "u"), type="Unsubscribed", channel="email"),
        touchpoint(7, MAIL, ("user_id", "u")),
    ]
    whole, parts = World(), World()
    whole.take(*story)
    for start in range(0, len(story), size):
        parts.take(*story[start : start + size])
    assert parts.messages == whole.messages
    assert parts.rows == whole.rows
