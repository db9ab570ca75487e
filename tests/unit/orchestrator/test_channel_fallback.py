"""The fallback of a channel counts where the rule has none of its own."""

from typing import Any

from services.orchestrator.domain.channel import default_channels, parse_channel
from services.orchestrator.domain.channel_fallback import (
    journey_with_channel_fallbacks,
    with_channel_fallbacks,
)
from services.orchestrator.domain.journeys.journey import Act
from tests.unit.orchestrator.build import email, rule
from tests.unit.orchestrator.journeys.build import end, journey, mail, wait

CHANNELS = default_channels() | {
    "email": parse_channel({"fallback": "sms"}, key="email", version=1),
    "push": parse_channel({"fallback": "nowhere"}, key="push", version=1),
}


def fallbacks(action: dict[str, Any]) -> list[tuple[str, list[str]]]:
    made = with_channel_fallbacks(rule(actions=[action]), CHANNELS)
    return [(one.spec.channel, sorted(one.on)) for one in made.actions[0].fallback]


def test_the_channels_fallback_is_the_last_one() -> None:
    assert fallbacks(email()) == [("sms", ["undeliverable"])]
    capped = email(channel="app", on=["capped"])
    assert fallbacks(email(fallback=[capped])) == [
        ("app", ["capped"]), ("sms", ["undeliverable"]),
    ]  # fmt: skip


def test_the_rule_knows_better() -> None:
    own = email(channel="push", on=["undeliverable", "expired"])
    assert fallbacks(email(fallback=[own])) == [("push", ["expired", "undeliverable"])]


def test_without_a_channel_to_fall_back_to_nothing_changes() -> None:
    for action in (email(channel="push"), email(channel="sms"), email(type="prompt")):
        made = rule(actions=[action])
        assert with_channel_fallbacks(made, CHANNELS) is made
    instead = with_channel_fallbacks(rule(actions=[email()]), CHANNELS).actions[0].fallback[0].spec
    assert instead.fallback == ()


def test_a_node_of_a_journey_has_it_too() -> None:
    made = journey_with_channel_fallbacks(
        journey(mail("hi", "rest"), wait("rest", duration="P1D"), end()), CHANNELS
    )
    does = made.nodes["hi"].does
    assert isinstance(does, Act)
    assert [one.spec.channel for one in does.spec.fallback] == ["sms"]
    assert list(made.nodes) == ["hi", "rest", "end"]
