"""Consent records: which word is the last, what the strictest is, what expires and is confirmed."""

import pytest

from services.profile.domain.consent import (
    MAX_CONSENTS,
    Confirmation,
    ConsentRecord,
    Consents,
    consent_key,
    consent_list,
    holding,
    most_restrictive,
    next_expiry,
)
from services.profile.domain.consent_change import (
    ConsentChange,
    apply_changes,
    confirm,
    lapse,
    may_be_said,
)
from services.profile.domain.consent_rules import ConsentRules, Purpose, Refused, folded
from services.profile.domain.period import Period, parse_period, written
from shared.contracts.consents import consents_at

KEY = consent_key("news", "email")


def at(day: int) -> str:
    return f"2026-11-{day:02d}T00:00:00.000Z"


def say(held: Consents, status: str, day: int, **fields: object) -> None:
    said = ConsentChange("news", "email", status, at=at(day), **fields)  # type: ignore[arg-type]
    apply_changes(held, [said], at(day), lambda _: f"{status}-{day}")


def test_the_later_word_counts_whenever_it_arrives() -> None:
    held: Consents = {}
    say(held, "denied", 3)
    say(held, "granted", 2)
    assert held[KEY].status == "denied"
    say(held, "granted", 4)
    assert held[KEY].status == "granted"


def test_of_two_words_at_one_instant_the_refusal_counts() -> None:
    held: Consents = {}
    say(held, "denied", 3)
    say(held, "granted", 3)
    assert held[KEY].status == "denied"


def test_a_word_said_now_is_later_than_all_that_is_held() -> None:
    held: Consents = {}
    say(held, "granted", 9)
    apply_changes(held, [ConsentChange("news", "email", "denied")], at(8), str)
    assert (held[KEY].status, held[KEY].at) == ("denied", "2026-11-09T00:00:00.001Z")


@pytest.mark.parametrize("spelling", ["all", "any"])
def test_what_was_stored_as_every_channel_in_other_words_can_be_granted_again(
    spelling: str,
) -> None:
    held: Consents = {f"news\0{spelling}": ConsentRecord("denied", at(3))}
    late = ConsentChange("news", "*", "granted", at=at(2))
    apply_changes(held, [late], at(4), str)
    assert holding(held, at(4))["news", "email"] == "denied"
    held[f"news\0{spelling}"] = ConsentRecord("denied", at(3))  # both, as both were written
    apply_changes(held, [ConsentChange("news", spelling, "granted")], at(5), str)
    assert list(held) == ["news\0*"]
    assert held["news\0*"].refused_at == at(3)
    assert consents_at(consent_list(held, at(5)), at(5))["news", "email"] == "granted"


def test_a_grant_ends_at_its_instant_and_is_told_once() -> None:
    held: Consents = {}
    say(held, "granted", 1, expires_at=at(5))
    assert next_expiry(held) == at(5)
    assert held[KEY].status_at("2026-11-04T23:59:59.999Z") == "granted"
    assert held[KEY].status_at(at(5)) == "expired"
    assert lapse(held, "2026-11-04T23:59:59.999Z", str) == []
    (entry,) = lapse(held, at(7), str)
    assert (entry.what, entry.status, entry.at) == ("expired", "expired", at(5))
    assert lapse(held, at(8), str) == []
    assert next_expiry(held) is None
    assert [one.status for one in consent_list(held)] == ["expired"]
    say(held, "granted", 8, expires_at=at(20))
    assert [one.status for one in consent_list(held, at(9))] == ["granted"]
    assert next_expiry(held) == at(20)


def test_a_denial_does_not_expire() -> None:
    held: Consents = {}
    say(held, "denied", 1, expires_at=at(5))
    assert held[KEY].status_at(at(9)) == "denied"
    assert next_expiry(held) is None


def test_a_double_opt_in_is_pending_until_it_is_confirmed_and_until_the_next_denial() -> None:
    held: Consents = {}
    say(held, "granted", 1, double_opt_in=True)
    assert held[KEY].status == "pending"
    assert holding(held, at(2)).get(("news", "email")) == "pending"
    with pytest.raises(ValueError, match="waiting"):
        confirm(held, KEY, at(2), "second", asked="another")
    entry = confirm(held, KEY, at(2), "second", asked="granted-1")
    assert (entry.what, entry.status) == ("confirmed", "granted")
    assert held[KEY].proof == "granted-1"
    assert held[KEY].confirmed == Confirmation(at(2), "second")
    with pytest.raises(ValueError, match="waiting"):
        confirm(held, KEY, at(3), "again", asked="granted-1")
    say(held, "granted", 4, double_opt_in=True)
    assert held[KEY].status == "granted"
    say(held, "denied", 5)
    say(held, "granted", 6, double_opt_in=True)
    assert held[KEY].status == "pending"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({}, None),
        ({("news", "email"): "granted"}, "granted"),
        ({("news", "*"): "granted"}, "granted"),
        ({("news", "any"): "granted"}, "granted"),
        ({("news", "sms"): "granted"}, None),
        ({("news", "email"): "granted", ("news", "*"): "denied"}, "denied"),
        ({("news", "email"): "denied", ("news", "*"): "granted"}, "denied"),
        ({("news", "email"): "granted", ("*", "email"): "denied"}, "denied"),
        ({("news", "email"): "granted", ("*", "*"): "denied"}, "denied"),
        ({("news", "email"): "granted", ("*stop", "email"): "denied"}, "denied"),
        ({("news", "email"): "granted", ("*stop", "sms"): "denied"}, "granted"),
        ({("news", "email"): "granted", ("*", "sms"): "denied"}, "granted"),
        ({("*", "*"): "granted"}, None),
        ({("*", "email"): "granted", ("news", "email"): "denied"}, "denied"),
    ],
)
def test_the_strictest_record_that_covers_decides(
    records: dict[tuple[str, str], str], expected: str | None
) -> None:
    held = {
        f"{purpose}\0{channel}": ConsentRecord(status, at(1))  # type: ignore[arg-type]
        for (purpose, channel), status in records.items()
    }
    assert holding(held, at(2)).get(("news", "email")) == expected


def test_a_merge_keeps_what_permits_least() -> None:
    forever = ConsentRecord("granted", at(9))
    ending = ConsentRecord("granted", at(1), expires_at=at(5))
    pending = ConsentRecord("granted", at(1), double_opt_in=True)
    denied = ConsentRecord("denied", at(1))
    for milder, stricter in ((forever, ending), (forever, pending), (pending, denied)):
        assert most_restrictive({KEY: milder}, {KEY: stricter}) == {KEY: stricter}
        assert most_restrictive({KEY: stricter}, {KEY: milder}) == {KEY: stricter}


def test_a_declared_purpose_says_basis_channels_expiry_and_confirmation() -> None:
    news = Purpose("news", "News", ("consent", "contract"), True, Period(24, 0), ("email",))
    rules = ConsentRules({"news": news})
    admitted = rules.admit(ConsentChange("news", "email", "granted"), at(1))
    assert admitted == ConsentChange(
        "news", "email", "granted", "consent", None, "2028-11-01T00:00:00.000Z", None, True
    )
    contract = rules.admit(ConsentChange("news", "*", "granted", "contract"), at(1))
    assert isinstance(contract, ConsentChange)
    assert not contract.double_opt_in
    for wrong, rule in (
        (ConsentChange("news", "email", "granted", "public_task"), "basis_not_allowed"),
        (ConsentChange("news", "sms", "granted"), "channel_not_declared"),
    ):
        refused = rules.admit(wrong, at(1))
        assert isinstance(refused, Refused)
        assert refused.rule == rule
        denial = ConsentChange(wrong.purpose, wrong.channel, "denied", wrong.basis)
        assert rules.admit(denial, at(1)) == denial
    free = ConsentChange("other", "pigeon", "granted", "whatever")
    assert rules.admit(free, at(1)) == free


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("P2Y", "2024-02-29T10:00:00.000Z", "2026-02-28T10:00:00.000Z"),
        ("P1M", "2026-01-31T00:00:00.000Z", "2026-02-28T00:00:00.000Z"),
        ("P1Y2M3D", "2026-11-30T00:00:00.000Z", "2028-02-02T00:00:00.000Z"),
        ("P90D", "2026-11-21T00:00:00.123Z", "2027-02-19T00:00:00.123Z"),
        ("P100Y", "9990-01-01T00:00:00.000Z", "9998-01-01T00:00:00.000Z"),
    ],
)
def test_a_period_is_of_the_calendar(text: str, start: str, end: str) -> None:
    period = parse_period(text)
    assert period is not None
    assert period.after(start) == end
    assert written(period) == text


@pytest.mark.parametrize("text", ["", "P", "P0D", "PT1H", "P101Y", "P-1D", "2Y", "P1Y ", "P1Y1W"])
def test_what_is_no_period_is_refused(text: str) -> None:
    assert parse_period(text) is None


def test_words_are_compared_without_case_accents_and_punctuation() -> None:
    assert folded(" Arrêt ! ") == folded("ARRET") == "arret"
    assert folded("opt-out") == folded("Opt  Out.") == "opt out"
    assert folded("!?") == ""


def test_reserved_names_cannot_be_invented() -> None:
    assert may_be_said("*", "*")
    assert may_be_said("*stop", "sms")
    assert not may_be_said("*all", "sms")
    assert not may_be_said("news", "*x")


def test_a_refusal_finds_room_where_there_is_none_for_a_grant() -> None:
    held: Consents = {}
    granted = [ConsentChange("promo", "*", "granted")]
    granted += [ConsentChange(f"p{n}", "web", "granted") for n in range(MAX_CONSENTS - 1)]
    apply_changes(held, granted, at(1), str)
    with pytest.raises(ValueError, match="at most"):
        apply_changes(held, [ConsentChange("promo", "email", "granted")], at(2), str)
    (entry,) = apply_changes(held, [ConsentChange("promo", "email", "denied")], at(3), str)
    assert (entry.channel, entry.status, len(held)) == ("*", "denied", MAX_CONSENTS)
    assert holding(held, at(4)).get(("promo", "email")) == "denied"
