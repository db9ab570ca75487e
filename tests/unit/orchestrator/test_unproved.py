"""What is left alone for somebody whose profile could not be read in time."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.rule import Holdout, Rule
from services.orchestrator.domain.unproved import UNAVAILABLE
from tests.unit.orchestrator.build import policy, profile_json, rule, ruleset
from tests.unit.orchestrator.experiments.build import running
from tests.unit.orchestrator.situations import ADA, situation

DECLINED: dict[str, Any] = {
    "on": {"outcome": "declined", "count": 1, "within": "P7D", "per": "topic"},
    "for": "P7D",
}
ALL: dict[str, Any] = {"limit": 1, "window": "P1D"}


def receipt(**fields: Any) -> Rule:
    return rule("receipt", **{"category": "transactional", **fields})


def considered(one: Rule, limits: Any, *, status: str = UNAVAILABLE) -> Considered:
    rules = ruleset(one, policies=[limits])
    profile = profile_json(ADA, consents=[], status=status)
    seen: Situation = situation(profile=profile)
    (found,) = decide(rules.candidates(seen.moment.facts), seen, rules)
    return found


@pytest.mark.parametrize(
    ("one", "limits", "stage"),
    [
        (receipt(category="service"), policy(), "consent"),
        (receipt(), policy(ALL, bypass={"categories": []}), "cap"),
        (receipt(), policy(ALL, bypass={"counts_toward_caps": True}), "cap"),
        (receipt(topic="t"), policy(bypass={"categories": []}, suppressions=[DECLINED]),
         "suppression"),
        (replace(receipt(), holdout=Holdout(1, "s")), policy(), "holdout"),
        (receipt(re_entry={"mode": "never"}), policy(), "re_entry"),
        (receipt(re_entry={"mode": "always", "cooldown": "P1D"}), policy(), "re_entry"),
    ],
)  # fmt: skip
def test_what_could_be_forbidden_is_left_alone(one: Rule, limits: Any, stage: str) -> None:
    drop = considered(one, limits).drop
    assert drop is not None
    assert (drop.stage, drop.reason) == (stage, "person_unavailable")
    before = considered(one, limits, status="unknown").drop
    assert before is None or before.reason == "held_out"


def test_an_arm_is_not_guessed_of_who_could_not_be_read() -> None:
    one = receipt(experiment={"key": "cart-test", "arms": ["control"]})
    test = running()

    def found(test: Running, status: str) -> Considered:
        rules = ruleset(one, policies=[policy()], experiments=[test])
        profile = profile_json(ADA, consents=[], status=status)
        seen = situation(profile=profile)
        moment = msgspec.structs.replace(seen.moment, seq=0)
        (only,) = decide(rules.candidates(moment.facts), replace(seen, moment=moment), rules)
        return only

    drop = found(test, UNAVAILABLE).drop
    assert drop is not None
    assert (drop.stage, drop.reason) == ("experiment", "person_unavailable")
    assert found(test, "unknown").drop is None
    assert found(replace(test, winner="control"), UNAVAILABLE).drop is None
    assert found(replace(test, ended=True), UNAVAILABLE).drop is None


@pytest.mark.parametrize(
    ("one", "limits"),
    [
        (receipt(), policy(ALL, suppressions=[DECLINED])),
        (receipt(), policy({**ALL, "scope": {"category": "service"}}, bypass={"categories": []})),
        (receipt(), policy(bypass={"categories": []}, suppressions=[DECLINED])),
        (receipt(category="service"), policy(consent={"require": {"service": "none"}})),
    ],
)
def test_what_nothing_could_forbid_is_done(one: Rule, limits: Any) -> None:
    assert considered(one, limits).drop is None
