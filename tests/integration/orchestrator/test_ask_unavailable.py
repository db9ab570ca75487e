"""Asks while the profile cannot be read: nothing is given that the person could have forbidden."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.orchestrator.domain.rule import Holdout, Rule
from tests.integration.orchestrator.asking import ask, asked_rule, chosen
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import policy, ruleset

DECLINED: dict[str, Any] = {
    "on": {"outcome": "declined", "count": 1, "within": "P7D", "per": "rule"},
    "for": "P7D",
}
ONE: dict[str, Any] = {"limit": 1, "window": "P1D"}


def receipt(key: str = "receipt", **fields: Any) -> Rule:
    """A rule that needs no consent and is under no limit unless the test says so."""
    return asked_rule(key, "kiosk", "app", **{"category": "transactional", **fields})


@pytest.mark.parametrize(
    ("rule", "limits", "stage_of"),
    [
        (receipt(category="service"), policy(), "consent"),
        (receipt(category="marketing"), policy(), "consent"),
        (receipt(), policy(consent={"require": {"transactional": "not_opted_out"}}), "consent"),
        (receipt(), policy(ONE, bypass={"categories": []}), "cap"),
        (receipt(), policy(ONE, bypass={"counts_toward_caps": True}), "cap"),
        (receipt(), policy(bypass={"categories": []}, suppressions=[DECLINED]), "suppression"),
        (replace(receipt(), holdout=Holdout(1, "s")), policy(), "holdout"),
        (receipt(re_entry={"mode": "never"}), policy(), "re_entry"),
        (receipt(re_entry={"mode": "always", "cooldown": "P1D"}), policy(), "re_entry"),
    ],
)
async def test_what_could_be_forbidden_is_not_given(
    stage: Stage, rule: Rule, limits: Any, stage_of: str
) -> None:
    stage.rules = ruleset(rule, policies=[limits])
    answer = await ask(stage, who=None, known="unavailable")
    assert (chosen(answer), answer.person) == (None, "unavailable")
    assert answer.reasons[0].startswith("profile_unavailable: ")
    assert answer.reasons[-1].startswith("person_unavailable: receipt needs to know the person: ")
    (decision,) = await stage.messages("decisions")
    (candidate,) = decision.value["candidates"]
    assert (candidate["stage"], candidate["reason"]) == (stage_of, "person_unavailable")
    assert "the profile could not be read in time" in decision.value["sentence"]


@pytest.mark.parametrize(
    "limits",
    [
        policy(ONE, suppressions=[DECLINED]),
        policy({**ONE, "scope": {"category": "service"}}, bypass={"categories": []}),
    ],
)
async def test_what_nothing_could_forbid_is_given(stage: Stage, limits: Any) -> None:
    stage.rules = ruleset(receipt(), policies=[limits])
    assert chosen(await ask(stage, who=None, known="unavailable")) == "receipt"


async def test_for_somebody_unknown_the_limits_are_as_ever(stage: Stage) -> None:
    stage.rules = ruleset(receipt(category="service"), policies=[policy(ONE)])
    assert chosen(await ask(stage, who=None)) == "receipt"
    denied = await ask(stage, who=None, known="unavailable")
    assert (chosen(denied), denied.kept) == (None, False)
    assert chosen(await ask(stage, who=None)) == "receipt"


async def test_a_capped_person_gets_nothing_from_who_cannot_read_her(stage: Stage) -> None:
    one = policy({**ONE, "scope": {"rule": "receipt"}}, consent={"require": {"service": "none"}})
    stage.rules = ruleset(receipt(category="service"), policies=[one])
    assert chosen(await ask(stage)) == "receipt"
    slots = [ask(stage, who=None, known="unavailable", slot=f"s{n % 3}") for n in range(6)]
    assert {chosen(answer) for answer in await asyncio.gather(*slots)} == {None}
    assert await stage.scalar("SELECT count(*) FROM contact_ledger") == 1


async def test_nothing_is_kept(stage: Stage) -> None:
    stage.rules = ruleset(receipt())
    answer = await ask(stage, who=None, known="unavailable")
    assert answer.valid_until <= (await ask(stage, who=None, known="unavailable")).valid_until
    assert await stage.scalar("SELECT count(*) FROM slot_answer") == 0
    assert await stage.scalar("SELECT count(*) FROM decision") == 2
    known = await ask(stage)
    assert (chosen(known), known.kept) == ("receipt", False)
    kept = await ask(stage, "app")
    assert kept.action is not None
    assert known.action is not None
    assert (kept.kept, kept.action.action_id) == (True, known.action.action_id)
